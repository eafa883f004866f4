"""More work than fits, deadlines, slow clients and models that fail."""

import socket
import threading
from pathlib import Path

import httpx
import numpy as np

from tests.serving.server.conftest import INFER, infer_request, running, tensor_body, until


def _busy_until(status: int, url: str, count: int, batch: int) -> list[httpx.Response]:
    """Ask `count` times at once, again and again until one is answered with `status`; all others must be with 200."""
    body = tensor_body(batch=batch)
    answers: list[httpx.Response] = []

    def ask() -> None:
        with httpx.Client(base_url=url, timeout=60) as client:
            answers.append(client.post(INFER, content=body))

    def was_answered() -> bool:
        threads = [threading.Thread(target=ask) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return status in {answer.status_code for answer in answers}

    until(was_answered)
    assert {answer.status_code for answer in answers} <= {200, status}
    return answers


def test_more_work_than_fits_is_answered_503_at_once(models: Path, tmp_path: Path) -> None:
    with running(models, tmp_path / "log", "--max-concurrency", "1", "--max-queue", "1") as started:
        answers = _busy_until(503, started.url, 16, 200)
        refused = next(answer for answer in answers if answer.status_code == 503)
        assert int(refused.headers["Retry-After"]) >= 1
        assert started.is_well()


def test_a_deadline_is_answered_504(models: Path, tmp_path: Path) -> None:
    with running(models, tmp_path / "log", "--max-concurrency", "1", "--deadline", "0.02") as started:
        _busy_until(504, started.url, 8, 250)
        until(started.is_well)


def test_a_slow_client_is_closed(models: Path, tmp_path: Path) -> None:
    with running(models, tmp_path / "log", "--read-seconds", "0.3") as started:
        head = f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n"
        for begun in (b"", b"POST ", head.encode(), f"{head}\r\n{{".encode()):
            with socket.create_connection(("127.0.0.1", started.port), timeout=60) as connection:
                connection.sendall(begun)
                answer = connection.recv(1000)
                assert answer == b"" or b" 408 " in answer.splitlines()[0]
        until(started.is_well)  # on a busy machine a good client may be slow too


def test_a_model_that_fails_is_500_and_the_next_request_is_fine(exported_model: Path, tmp_path: Path) -> None:
    """A graph whose result is not finite for white images, as a provider that fails in the middle would be."""
    import onnx

    folder = tmp_path / "models"
    folder.mkdir()
    (folder / exported_model.name).write_bytes(exported_model.read_bytes())
    model = onnx.load(exported_model)
    first = next(node for node in model.graph.node if node.op_type == "Mul")
    # Dark pixels stay small, bright ones overflow.
    big = onnx.numpy_helper.from_array(np.full((1, 1, 1, 1), 3e36, dtype=np.float32), "overflowing")
    model.graph.initializer.append(big)
    weight = next(name for name in first.input if name in [tensor.name for tensor in model.graph.initializer])
    first.input[list(first.input).index(weight)] = big.name
    (folder / "fragile.onnx").write_bytes(model.SerializeToString())
    with running(folder, tmp_path / "log") as started, httpx.Client(base_url=started.url) as client:
        assert client.get("/v2/models/fragile/ready").status_code == 200
        answer = client.post("/v2/models/fragile/infer", json=infer_request(data=[255] * 784))
        assert answer.status_code == 500
        assert "onnx" not in answer.json()["error"]
        assert "vision_zoo_model_failures_total" in client.get("/metrics").text
        assert started.is_well()
