"""What clients, networks and models do wrong. After each of it the server is well; a client's fault is never a 5xx."""

import contextlib
import gzip
import io
import json
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.serving.server.conftest import MODEL, Server, infer_request, running

INFER = f"/v2/models/{MODEL}/infer"
CLASSIFY = f"/v1/classify/{MODEL}"
LENGTH = "Inference-Header-Content-Length"


@pytest.fixture(autouse=True)
def _well_afterwards(server: Server) -> Iterator[None]:
    yield
    assert server.is_well()


def _tensor(**changes: Any) -> bytes:
    return json.dumps(infer_request(**changes)).encode()


def _without(key: str) -> bytes:
    request = infer_request()
    del request["inputs"][0][key]
    return json.dumps(request).encode()


def _with_output(**output: Any) -> bytes:
    return json.dumps({**infer_request(), "outputs": [output]}).encode()


MALFORMED = {
    "empty": b"",
    "no JSON": b"{",
    "not UTF-8": b"\xff\xfe{}",
    "NUL": b"\0",
    "an array": b"[]",
    "a number": b"1",
    "null": b"null",
    "deep": b"[" * 100_000,
    "deep and closed": b"[" * 100_000 + b"]" * 100_000,
    "deep data": b'{"inputs":[{"name":"image","datatype":"UINT8","shape":[1,28,28,1],"data":'
    + b"[" * 500
    + b"]" * 500
    + b"}]}",
    "no inputs": b"{}",
    "inputs no list": b'{"inputs": {}}',
    "inputs empty": b'{"inputs": []}',
    "inputs of null": b'{"inputs": [null]}',
    "two inputs": json.dumps({"inputs": infer_request()["inputs"] * 2}).encode(),
    "NaN": _tensor().replace(b"[0,", b"[NaN,", 1).replace(b"[0", b"[NaN", 1),
    "no name": _without("name"),
    "another name": _tensor(name="picture"),
    "a name that is no text": _tensor(name=["image"]),
    "no datatype": _without("datatype"),
    "another datatype": _tensor(datatype="FP32"),
    "an unknown datatype": _tensor(datatype="UINT7"),
    "no shape": _without("shape"),
    "another rank": _tensor(shape=[28, 28, 1]),
    "another height": _tensor(shape=[1, 27, 28, 1]),
    "channels first": _tensor(shape=[1, 1, 28, 28]),
    "a negative size": _tensor(shape=[-1, 28, 28, 1]),
    "an overflowing size": _tensor(shape=[2**62, 28, 28, 1]),
    "sizes that overflow together": _tensor(shape=[2**31 - 1, 28, 28, 1]),
    "an enormous size": _tensor(shape=[10**30, 28, 28, 1]),
    "a size that is no number": _tensor(shape=["1", 28, 28, 1]),
    "a size that is a fraction": _tensor(shape=[1.0, 28, 28, 1]),
    "a size that is true": _tensor(shape=[True, 28, 28, 1]),
    "batch 0": _tensor(shape=[0, 28, 28, 1], data=[]),
    "batch too large": _tensor(shape=[257, 28, 28, 1], data=[0] * 784),
    "no data": _without("data"),
    "too little data": _tensor(data=[0] * 783),
    "too much data": _tensor(data=[0] * 785),
    "data that is no list": _tensor(data="0"),
    "negative data": _tensor(data=[-1] * 784),
    "data above 255": _tensor(data=[256] * 784),
    "enormous data": _tensor(data=[10**30] * 784),
    "fractions": _tensor(data=[0.5] * 784),
    "texts": _tensor(data=["0"] * 784),
    "truths": _tensor(data=[True] * 784),
    "nulls": _tensor(data=[None] * 784),
    "ragged data": _tensor(data=[[0] * 28, [0] * 27]),
    "parameters no object": _tensor(parameters=[]),
    "bytes that are not there": _tensor(parameters={"binary_data_size": 784}),
    "an unknown output": _with_output(name="answer"),
    "an output without a name": _with_output(),
    "classification no number": _with_output(name="logits", parameters={"classification": "3"}),
    "too many classes": _with_output(name="logits", parameters={"classification": 11}),
    "binary no truth": _with_output(name="logits", parameters={"binary_data": 1}),
    "outputs no list": json.dumps({**infer_request(), "outputs": {}}).encode(),
    "the same output twice": json.dumps({**infer_request(), "outputs": [{"name": "logits"}] * 2}).encode(),
    "an id that is no text": json.dumps({**infer_request(), "id": 1}).encode(),
    "an endless id": json.dumps({**infer_request(), "id": "x" * 10_000}).encode(),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_is_told_what_is_wrong(client: httpx.Client, body: bytes) -> None:
    answer = client.post(INFER, content=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error
    assert len(error) < 400


def _binary_request(size: object = 784, **changes: Any) -> bytes:
    tensor = {
        "name": "image",
        "datatype": "UINT8",
        "shape": [1, 28, 28, 1],
        "parameters": {"binary_data_size": size},
    }
    return json.dumps({"inputs": [{**tensor, **changes}]}).encode()


@pytest.mark.parametrize(
    ("text", "length", "tail"),
    [
        (_binary_request(), "x", 784),
        (_binary_request(), "-1", 784),
        (_binary_request(), "99999999", 784),
        (_binary_request(), "9" * 400, 784),
        (_binary_request(), None, 783),
        (_binary_request(), None, 785),
        (_binary_request(), None, 0),
        (_binary_request(-784), None, 784),
        (_binary_request(2**63), None, 784),
        (_binary_request("784"), None, 784),
        (_tensor(), None, 784),
        (_binary_request(), "3", 784),
    ],
)
def test_a_malformed_binary_request(client: httpx.Client, text: bytes, length: str | None, tail: int) -> None:
    headers = {LENGTH: str(len(text)) if length is None else length}
    answer = client.post(INFER, content=text + bytes(tail), headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/nothing/infer",
        "/v2/models/../infer",
        "/v2/models/..%2f..%2fetc%2fpasswd/infer",
        "/v2/models/%2e%2e/infer",
        "/v2/models/%00/infer",
        f"/v2/models/{MODEL}%00/infer",
        f"/v2/models/{MODEL}.onnx/infer",
        f"/v2/models/{'a' * 5000}/infer",
        "/v2/models/%ff%fe/infer",
        f"/v2/models/{MODEL}/versions/2/infer",
        f"/v2/models/{MODEL}/versions/-1/infer",
        "/v1/classify/nothing",
        "/nothing",
    ],
)
def test_unknown_models_and_paths_are_404(client: httpx.Client, path: str) -> None:
    answer = client.post(path, content=_tensor())
    assert answer.status_code == 404
    assert "passwd:" not in answer.text
    assert answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", INFER),
        ("PUT", INFER),
        ("DELETE", f"/v2/models/{MODEL}"),
        ("POST", "/v2"),
        ("GET", CLASSIFY),
    ],
)
def test_the_wrong_verb_is_405(client: httpx.Client, method: str, path: str) -> None:
    assert client.request(method, path).status_code == 405


def test_a_verb_that_is_none_is_400(client: httpx.Client) -> None:
    assert client.request("BREW", "/v2").status_code == 400


def test_a_body_that_is_too_large_is_refused_before_it_is_read(client: httpx.Client) -> None:
    assert client.post(INFER, content=bytes(17 * 2**20)).status_code == 413
    assert client.post(CLASSIFY, content=bytes(17 * 2**20)).status_code == 413


def test_a_body_that_is_too_large_without_a_length(client: httpx.Client) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(20):
            yield bytes(2**20)

    # It may hang up while we are still sending.
    with contextlib.suppress(httpx.WriteError, httpx.RemoteProtocolError, httpx.ReadError):
        assert client.post(INFER, content=parts()).status_code == 413


def test_a_declared_length_that_is_too_large_needs_no_body(server: Server) -> None:
    answer = _raw(server, f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n".encode())
    assert b" 413 " in answer.splitlines()[0]


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_is_refused_without_being_unpacked(client: httpx.Client, encoding: str) -> None:
    zeros = bytes(200 * 2**20)
    bomb = gzip.compress(zeros) if encoding == "gzip" else zlib.compress(zeros)
    assert len(bomb) < 2**20
    for path in (INFER, CLASSIFY):
        assert client.post(path, content=bomb, headers={"Content-Encoding": encoding}).status_code == 413


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("br", b"x", 415),
        ("gzip, gzip", b"x", 415),
        ("gzip", b"no gzip", 400),
        ("gzip", gzip.compress(_tensor())[:-9], 400),
        ("deflate", b"\x78\x9c\xff\xff\xff", 400),
        ("gzip", b"", 400),
    ],
)
def test_encodings_that_are_unknown_or_damaged(
    client: httpx.Client, encoding: str, body: bytes, status: int
) -> None:
    assert client.post(INFER, content=body, headers={"Content-Encoding": encoding}).status_code == status


def _image(mode: str = "L", size: tuple[int, int] = (40, 40), form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image = Image.new(mode, size)
    image.paste(255 if mode == "L" else "white", (15, 8, 22, 32)) if mode in (
        "L",
        "RGB",
        "RGBA",
        "CMYK",
    ) else None
    image.save(buffer, format=form, **options)
    return buffer.getvalue()


def _pixel_bomb() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10_000)))
        + chunk(b"IEND", b"")
    )


UNUSABLE = {
    "empty": b"",
    "no image": b"hello",
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'><rect width='9' height='9'/></svg>",
    "PDF": b"%PDF-1.4",
    "truncated PNG": _image()[:60],
    "truncated JPEG": _image(form="JPEG")[:200],
    "a pixel bomb": _pixel_bomb(),
    "blank": _image("1"),
    "JSON": b"{}",
}


@pytest.mark.parametrize("content", UNUSABLE.values(), ids=UNUSABLE)
def test_an_image_that_cannot_be_used_is_422(client: httpx.Client, content: bytes) -> None:
    answer = client.post(CLASSIFY, content=content)
    assert answer.status_code == 422
    assert "/" not in answer.json()["error"].replace("application/", "")


def _rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return _image("RGB", form="JPEG", exif=exif)


USABLE = {
    "grayscale": _image(),
    "RGB": _image("RGB"),
    "alpha": _image("RGBA"),
    "CMYK": _image("CMYK", form="JPEG"),
    "GIF": _image("L", form="GIF"),
    "TIFF": _image("L", form="TIFF"),
    "WebP": _image("RGB", form="WEBP"),
    "BMP": _image("RGB", form="BMP"),
    "turned by EXIF": _rotated(),
}


@pytest.mark.parametrize("content", USABLE.values(), ids=USABLE)
def test_images_of_all_kinds_are_classified(client: httpx.Client, content: bytes) -> None:
    answer = client.post(CLASSIFY, content=content)
    assert answer.status_code == 200, answer.text
    assert sum(
        entry["probability"]
        for entry in client.post(f"{CLASSIFY}?top=10", content=content).json()["probabilities"]
    ) == (pytest.approx(1, abs=1e-4))


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (3000, 2)])
def test_images_of_odd_sizes_have_a_defined_answer(client: httpx.Client, size: tuple[int, int]) -> None:
    assert client.post(CLASSIFY, content=_image("RGB", size)).status_code in (200, 422)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=a", b"x"),
        ("multipart/form-data; boundary=a", b"--a\r\n\r\n--a--"),
        ("multipart/form-data; boundary=" + "a" * 300, b"x"),
        (
            "multipart/form-data; boundary=a",
            b'--a\r\nContent-Disposition: form-data; name="file"\r\n\r\ntext\r\n--a--\r\n',
        ),
    ],
)
def test_a_form_without_a_file_is_400(client: httpx.Client, kind: str, body: bytes) -> None:
    answer = client.post(CLASSIFY, content=body, headers={"Content-Type": kind})
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize("top", ["0", "-1", "x", "1e9", "9" * 50])
def test_top_must_be_a_number_above_0(client: httpx.Client, top: str, digit_png: Path) -> None:
    answer = client.post(f"{CLASSIFY}?top={top}", content=digit_png.read_bytes())
    assert answer.status_code == (200 if top == "9" * 50 else 400)


def test_bytes_that_are_no_http_are_refused(server: Server) -> None:
    for junk in (
        b"\0" * 100,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ):
        answer = _raw(server, junk)
        assert not answer or b" 400 " in answer.splitlines()[0]


def test_a_client_that_leaves_half_way_is_forgotten(server: Server) -> None:
    request = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n{{".encode()
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(request)


def _raw(server: Server, content: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        parts = []
        try:
            while part := connection.recv(65536):
                parts.append(part)
        except ConnectionResetError:
            pass
        return b"".join(parts)


def _busy(url: str, count: int, batch: int, statuses: list[httpx.Response]) -> list[threading.Thread]:
    body = _tensor(batch=batch)

    def ask() -> None:
        with httpx.Client(base_url=url, timeout=60) as client:
            statuses.append(client.post(INFER, content=body))

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def test_more_work_than_fits_is_answered_503_at_once(models: Path, tmp_path: Path) -> None:
    answers: list[httpx.Response] = []
    with running(models, tmp_path / "log", "--max-concurrency", "1", "--max-queue", "1") as started:
        for thread in _busy(started.url, 16, 200, answers):
            thread.join()
        statuses = [answer.status_code for answer in answers]
        assert set(statuses) == {200, 503}
        refused = next(answer for answer in answers if answer.status_code == 503)
        assert int(refused.headers["Retry-After"]) >= 1
        assert started.is_well()


def test_a_deadline_is_answered_504(models: Path, tmp_path: Path) -> None:
    answers: list[httpx.Response] = []
    with running(models, tmp_path / "log", "--max-concurrency", "1", "--deadline", "0.005") as started:
        for thread in _busy(started.url, 8, 250, answers):
            thread.join()
        assert 504 in {answer.status_code for answer in answers}
        assert {answer.status_code for answer in answers} <= {200, 504}
        _until(started.is_well)


def test_a_slow_client_is_closed(models: Path, tmp_path: Path) -> None:
    with running(models, tmp_path / "log", "--read-seconds", "0.3") as started:
        head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n"
        for begun in (b"", b"POST ", head.encode(), f"{head}\r\n{{".encode()):
            with socket.create_connection(("127.0.0.1", started.port), timeout=10) as connection:
                connection.sendall(begun)
                answer = connection.recv(1000)
                assert answer == b"" or b" 408 " in answer.splitlines()[0]
        assert started.is_well()


def test_a_model_that_fails_is_500_and_the_next_request_is_fine(exported_model: Path, tmp_path: Path) -> None:
    """A graph whose result is not finite for white images, as a provider that fails in the middle would be."""
    import onnx

    folder = tmp_path / "models"
    folder.mkdir()
    (folder / exported_model.name).write_bytes(exported_model.read_bytes())
    model = onnx.load(exported_model)
    scale = next(tensor for tensor in model.graph.initializer if "bias" in tensor.name)
    first = next(node for node in model.graph.node if node.op_type == "Mul")
    # Dark pixels stay small, bright ones overflow.
    big = onnx.numpy_helper.from_array(np.full((1, 1, 1, 1), 3e36, dtype=np.float32), "overflowing")
    model.graph.initializer.append(big)
    weight = next(name for name in first.input if name in [tensor.name for tensor in model.graph.initializer])
    first.input[list(first.input).index(weight)] = big.name
    assert scale is not None
    (folder / "fragile.onnx").write_bytes(model.SerializeToString())
    with running(folder, tmp_path / "log") as started, httpx.Client(base_url=started.url) as client:
        assert client.get("/v2/models/fragile/ready").status_code == 200
        answer = client.post("/v2/models/fragile/infer", json=infer_request(data=[255] * 784))
        assert answer.status_code == 500
        assert "onnx" not in answer.json()["error"]
        assert "vision_zoo_model_failures_total" in client.get("/metrics").text
        assert started.is_well()


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
