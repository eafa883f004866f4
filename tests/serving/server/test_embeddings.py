"""A model with embeddings over HTTP."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.serving.server.conftest import CLASSIFY, INFER, MODEL, infer_request, running
from vision_zoo.serving.server.protocol import HEADER_LENGTH
from vision_zoo.serving.session import Session

NAMES = ["logits", "probabilities", "embeddings"]


@pytest.fixture(scope="module")
def embedding(embedded_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with (
        running(embedded_model.parent, tmp_path_factory.mktemp("server") / "log") as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def expected(embedded_model: Path) -> np.ndarray:
    """The embeddings of two black images."""
    found = Session(embedded_model, provider="cpu").predict(np.zeros((2, 28, 28, 1), dtype=np.uint8))
    assert found.embeddings is not None
    return found.embeddings


def test_all_outputs_are_described_and_answered(embedding: httpx.Client, expected: np.ndarray) -> None:
    described = embedding.get(f"/v2/models/{MODEL}").json()["outputs"]
    assert [(output["name"], output["shape"]) for output in described] == [
        (NAMES[0], [-1, 10]),
        (NAMES[1], [-1, 10]),
        (NAMES[2], [-1, 128]),
    ]
    configured = embedding.get(f"/v2/models/{MODEL}/config").json()["output"]
    assert [output["dims"] for output in configured] == [[10], [10], [128]]
    answered = embedding.post(INFER, json=infer_request(2)).json()["outputs"]
    assert [(output["name"], output["shape"]) for output in answered] == [
        (NAMES[0], [2, 10]),
        (NAMES[1], [2, 10]),
        (NAMES[2], [2, 128]),
    ]
    np.testing.assert_allclose(np.reshape(answered[2]["data"], (2, 128)), expected, atol=1e-5)


def test_they_are_answered_alone_and_as_bytes(embedding: httpx.Client, expected: np.ndarray) -> None:
    asked = infer_request(2) | {"outputs": [{"name": "embeddings", "parameters": {"binary_data": True}}]}
    answer = embedding.post(INFER, json=asked)
    length = int(answer.headers[HEADER_LENGTH])
    assert [output["name"] for output in json.loads(answer.content[:length])["outputs"]] == ["embeddings"]
    found = np.frombuffer(answer.content[length:], dtype=np.float32).reshape(2, 128)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    raw = embedding.post(INFER, content=bytes(28 * 28), headers={HEADER_LENGTH: "0"})
    assert len(raw.content) - int(raw.headers[HEADER_LENGTH]) == 4 * (10 + 10 + 128)


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ({"name": "embeddings", "parameters": {"classification": 3}}, "embeddings has no labels"),
        ({"name": "embedding"}, "expected some of logits, probabilities, embeddings"),
        ({"name": ["embeddings"]}, "unknown or repeated output"),
    ],
    ids=str,
)
def test_what_cannot_be_answered_is_refused(embedding: httpx.Client, output: object, says: str) -> None:
    answer = embedding.post(INFER, json=infer_request() | {"outputs": [output]})
    assert (answer.status_code, says in answer.json()["error"]) == (400, True), answer.text


def test_image_files_are_classified_as_ever(embedding: httpx.Client, digit_png: Path) -> None:
    assert embedding.post(CLASSIFY, content=digit_png.read_bytes()).json()["label"] == "7"
