"""The Open Inference Protocol v2, spoken by Triton's own client and by hand."""

import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.serving.server.conftest import INFER, MODEL, Server, infer_request
from vision_zoo.serving.session import Session

LENGTH = "Inference-Header-Content-Length"


@pytest.fixture
def triton_client(server: Server) -> triton.InferenceServerClient:
    return triton.InferenceServerClient(f"127.0.0.1:{server.port}")


@pytest.fixture(scope="module")
def session(exported_model: Path) -> Session:
    return Session(exported_model, provider="cpu")


def _input(images: np.ndarray, *, binary: bool) -> triton.InferInput:
    tensor = triton.InferInput("image", images.shape, "UINT8")
    tensor.set_data_from_numpy(images, binary_data=binary)
    return tensor


def test_tritons_client_finds_the_server_and_the_model(triton_client: triton.InferenceServerClient) -> None:
    assert triton_client.is_server_live()
    assert triton_client.is_server_ready()
    assert triton_client.is_model_ready(MODEL)
    assert not triton_client.is_model_ready("nothing")
    assert triton_client.get_server_metadata()["extensions"] == [
        "binary_tensor_data",
        "classification",
        "model_configuration",
        "statistics",
    ]
    metadata = triton_client.get_model_metadata(MODEL)
    assert metadata["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, 28, 28, 1]}]
    assert [output["name"] for output in metadata["outputs"]] == ["logits", "probabilities"]
    assert triton_client.get_model_config(MODEL)["max_batch_size"] > 1
    states = {entry["name"]: entry["state"] for entry in triton_client.get_model_repository_index()}
    assert states == {MODEL: "READY", "damaged": "UNAVAILABLE"}


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_tritons_client_infers(
    triton_client: triton.InferenceServerClient,
    session: Session,
    digits: np.ndarray,
    binary_in: bool,
    binary_out: bool,
) -> None:
    outputs = [
        triton.InferRequestedOutput(name, binary_data=binary_out) for name in ("probabilities", "logits")
    ]
    answer = triton_client.infer(
        MODEL, [_input(digits, binary=binary_in)], outputs=outputs, request_id="mine"
    )
    expected = session.predict(digits)
    np.testing.assert_allclose(answer.as_numpy("probabilities"), expected.probabilities, rtol=1e-6)
    np.testing.assert_allclose(answer.as_numpy("logits"), expected.logits, rtol=1e-6)
    assert answer.get_response()["id"] == "mine"
    assert answer.get_response()["model_version"] == "1"


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_requests_are_understood(
    triton_client: triton.InferenceServerClient, digits: np.ndarray, algorithm: str
) -> None:
    answer = triton_client.infer(
        MODEL, [_input(digits, binary=True)], request_compression_algorithm=algorithm, model_version="1"
    )
    assert answer.as_numpy("logits").shape == (5, 10)


@pytest.mark.parametrize("binary", [True, False])
def test_classification_gives_the_best_labels(
    triton_client: triton.InferenceServerClient, session: Session, digits: np.ndarray, binary: bool
) -> None:
    wanted = triton.InferRequestedOutput("probabilities", binary_data=binary, class_count=2)
    found = triton_client.infer(MODEL, [_input(digits, binary=True)], outputs=[wanted]).as_numpy(
        "probabilities"
    )
    assert found.shape == (5, 2)
    texts = [text.decode() if isinstance(text, bytes) else str(text) for text in found[:, 0]]
    predicted = session.predict(digits).classes
    assert [text.rsplit(":", 1)[1] for text in texts] == [str(index) for index in predicted]


def test_nested_data_and_the_default_outputs(
    client: httpx.Client, session: Session, digits: np.ndarray
) -> None:
    answer = client.post(f"/v2/models/{MODEL}/infer", json=infer_request(5, data=digits.tolist())).json()
    assert [output["name"] for output in answer["outputs"]] == ["logits", "probabilities"]
    logits = np.reshape(answer["outputs"][0]["data"], answer["outputs"][0]["shape"])
    np.testing.assert_allclose(logits, session.predict(digits).logits, rtol=1e-6)
    assert "id" not in answer


def test_health_is_answered_as_kserves_client_reads_it(client: httpx.Client) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get(f"/v2/models/{MODEL}/ready").json() == {"name": MODEL, "ready": True}
    assert client.get(f"/v2/models/{MODEL}/versions/1/ready").json() == {"name": MODEL, "ready": True}


def test_a_raw_binary_request_is_answered_in_binary(
    client: httpx.Client, session: Session, digits: np.ndarray
) -> None:
    answer = client.post(INFER, content=digits.tobytes(), headers={LENGTH: "0"})
    assert answer.status_code == 200
    length = int(answer.headers[LENGTH])
    described = json.loads(answer.content[:length])
    assert [output["shape"] for output in described["outputs"]] == [[5, 10], [5, 10]]
    values = np.frombuffer(answer.content[length:], dtype="<f4").reshape(2, 5, 10)
    np.testing.assert_allclose(values[0], session.predict(digits).logits, rtol=1e-6)
    np.testing.assert_allclose(values[1], session.predict(digits).probabilities, rtol=1e-6)


@pytest.mark.parametrize("size", [0, 1, 783, 785, 784 * 257])
def test_a_raw_binary_request_of_another_size(client: httpx.Client, size: int) -> None:
    answer = client.post(INFER, content=bytes(size), headers={LENGTH: "0"})
    assert answer.status_code == 400
    assert str(size if size % 784 or not size else 257) in answer.json()["error"]


@pytest.mark.parametrize(
    "changes",
    [
        {"outputs": []},
        {"outputs": None},
        {"parameters": None},
        {"id": None},
        {"id": ""},
        {"parameters": {"priority": 1, "timeout": 1000, "of another server": {"x": [1]}}},
        {"something": "else"},
        {"outputs": [{"name": "logits", "parameters": None}, {"name": "probabilities"}]},
    ],
    ids=str,
)
def test_what_triton_overlooks_is_overlooked(client: httpx.Client, changes: dict[str, object]) -> None:
    answer = client.post(INFER, json={**infer_request(parameters=None), **changes})
    assert answer.status_code == 200
    assert [output["name"] for output in answer.json()["outputs"]] == ["logits", "probabilities"]
    assert "id" not in answer.json()


@pytest.mark.parametrize(("wanted", "given"), [(3, 3), (10, 10), (11, 10), (2**40, 10)])
def test_as_many_labels_as_there_are(
    triton_client: triton.InferenceServerClient, digits: np.ndarray, wanted: int, given: int
) -> None:
    output = triton.InferRequestedOutput("probabilities", class_count=wanted)
    answer = triton_client.infer(MODEL, [_input(digits, binary=True)], outputs=[output])
    assert answer.as_numpy("probabilities").shape == (5, given)


def test_shared_memory_is_refused(triton_client: triton.InferenceServerClient, digits: np.ndarray) -> None:
    tensor = triton.InferInput("image", digits.shape, "UINT8")
    tensor.set_shared_memory("region", digits.nbytes)
    with pytest.raises(InferenceServerException, match="does not support shared memory"):
        triton_client.infer(MODEL, [tensor])
    output = triton.InferRequestedOutput("logits")
    output.set_shared_memory("region", 200)
    with pytest.raises(InferenceServerException, match="does not support shared memory"):
        triton_client.infer(MODEL, [_input(digits, binary=True)], outputs=[output])


def test_statistics_count_what_was_done(
    triton_client: triton.InferenceServerClient, client: httpx.Client, digits: np.ndarray
) -> None:
    def asked(**named: str) -> dict[str, Any]:
        (entry,) = triton_client.get_inference_statistics(**named)["model_stats"]
        assert entry["name"] == MODEL
        return dict(entry)

    before = asked(model_name=MODEL)
    for _ in range(3):
        triton_client.infer(MODEL, [_input(digits, binary=False)])
    client.post(INFER, json=infer_request(data=[]))
    after = asked(model_name=MODEL)
    assert after["inference_count"] - before["inference_count"] == 15
    assert after["execution_count"] - before["execution_count"] == 3
    assert after["last_inference"] > 1.7e12
    for part in ("success", "queue", "compute_input", "compute_infer", "compute_output"):
        then, now = before["inference_stats"][part], after["inference_stats"][part]
        assert now["count"] - then["count"] == 3
        # What is answered where it has arrived waits in no queue.
        assert now["ns"] > then["ns"] or (part == "queue" and now["ns"] == then["ns"])
    assert after["inference_stats"]["fail"] == before["inference_stats"]["fail"]
    (batch,) = [entry for entry in after["batch_stats"] if entry["batch_size"] == 5]
    assert batch["compute_infer"]["count"] >= 3
    assert asked() == asked(model_name=MODEL, model_version="1")
    with pytest.raises(InferenceServerException, match="there is no model"):
        asked(model_name="nothing")


def test_the_index_tells_what_is_ready(client: httpx.Client) -> None:
    def names(**request: Any) -> list[str]:
        return [entry["name"] for entry in client.post("/v2/repository/index", **request).json()]

    assert names() == names(json={}) == names(json={"ready": False}) == ["damaged", MODEL]
    assert names(json={"ready": True}) == [MODEL]
    for body in (b"{", b"[]", b'{"ready": "yes"}', b"[" * 4000):
        assert client.post("/v2/repository/index", content=body).status_code == 400
    assert client.post("/v2/repository/index", content=b" " * 5000).status_code == 413


def test_models_are_not_loaded_on_request(triton_client: triton.InferenceServerClient) -> None:
    for ask in (triton_client.load_model, triton_client.unload_model):
        with pytest.raises(InferenceServerException, match="load / unload is not allowed"):
            ask(MODEL)
    assert triton_client.is_model_ready(MODEL)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/nothing", 404),
        ("GET", "//v2", 404),
        ("GET", "//v2//health/live", 404),
        ("GET", f"/v2/models/{MODEL}/nothing", 404),
        ("GET", "/v2/models/nothing", 404),
        ("GET", "/v2/models/%2e%2e%2fmanifest", 404),
        ("GET", "/v2/models/%ff%0a%22", 404),
        ("GET", f"/v2/models/{MODEL}/infer", 405),
        ("GET", "/v2/logging", 404),
        ("GET", "/v2/trace/setting", 404),
        ("POST", f"/v2/models/{MODEL}/trace/setting", 404),
        ("POST", f"/v2/models/{MODEL}/generate", 404),
        ("GET", "/v2/systemsharedmemory/status", 404),
        ("POST", "/v2/systemsharedmemory/region/x/register", 404),
        ("POST", f"/v2/models/{MODEL}/versions/2/infer", 404),
        ("POST", "/v2/models/nothing/infer", 404),
        ("DELETE", f"/v2/models/{MODEL}", 405),
        ("PUT", "/v2/health/live", 405),
    ],
)
def test_other_paths_and_methods_are_told_so_in_json(
    client: httpx.Client, server: Server, method: str, path: str, status: int
) -> None:
    answer = client.request(method, f"{server.url}{path}")
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["error"]


def test_versions_other_than_the_one_are_unknown(client: httpx.Client) -> None:
    assert client.get(f"/v2/models/{MODEL}/versions/1").status_code == 200
    assert client.get(f"/v2/models/{MODEL}/versions/1/ready").status_code == 200
    assert client.get(f"/v2/models/{MODEL}/versions/2").status_code == 404
