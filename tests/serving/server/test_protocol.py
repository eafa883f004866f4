"""The Open Inference Protocol v2, spoken by Triton's own client and by hand."""

from pathlib import Path

import httpx
import numpy as np
import pytest
import tritonclient.http as triton

from tests.serving.server.conftest import MODEL, Server, infer_request
from vision_zoo.serving.session import Session


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
    assert "binary_tensor_data" in triton_client.get_server_metadata()["extensions"]
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


def test_versions_other_than_the_one_are_unknown(client: httpx.Client) -> None:
    assert client.get(f"/v2/models/{MODEL}/versions/1").status_code == 200
    assert client.get(f"/v2/models/{MODEL}/versions/1/ready").status_code == 200
    assert client.get(f"/v2/models/{MODEL}/versions/2").status_code == 404
