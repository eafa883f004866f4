"""Several files in a request, and base64 in JSON."""

import base64
import gzip
import io
import zlib
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.serving.server.bombs import png_header
from tests.serving.server.conftest import CLASSIFY, infer_request, running

pytestmark = pytest.mark.usefixtures("well_afterwards")


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0]).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def pngs(digits: np.ndarray) -> list[bytes]:
    """Real digits as files."""
    return [_png(digit) for digit in digits]


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_json_is_answered_as_the_file_is(client: httpx.Client, pngs: list[bytes]) -> None:
    as_body = client.post(CLASSIFY, content=pngs[0]).json()
    assert client.post(CLASSIFY, json={"image": _base64(pngs[0])}).json() == as_body
    url = f"data:image/png;base64,{_base64(pngs[0])}"
    assert client.post(CLASSIFY, json={"image": url}).json() == as_body
    (result,) = client.post(CLASSIFY, json={"images": [url]}).json()["results"]
    assert result["label"] == as_body["label"]


def test_several_files_are_answered_in_order(client: httpx.Client, pngs: list[bytes]) -> None:
    alone = [client.post(CLASSIFY, content=png).json() for png in pngs]
    as_form = client.post(CLASSIFY, files=[("file", (f"{n}.png", png)) for n, png in enumerate(pngs)])
    as_json = client.post(CLASSIFY, json={"images": [_base64(png) for png in pngs]})
    assert as_form.json() == as_json.json()
    assert [result["label"] for result in as_form.json()["results"]] == [one["label"] for one in alone]
    for result, one in zip(as_form.json()["results"], alone, strict=True):
        shares = [[entry["probability"] for entry in answer["probabilities"]] for answer in (result, one)]
        assert shares[0] == pytest.approx(shares[1], abs=1e-5)


def test_a_large_batch_is_one_run_of_the_model(client: httpx.Client, pngs: list[bytes]) -> None:
    results = client.post(f"{CLASSIFY}?top=1", json={"images": [_base64(pngs[0])] * 256}).json()["results"]
    assert len(results) == 256
    assert len({result["label"] for result in results}) == 1


@pytest.mark.parametrize("large", [False, True], ids=["decoded here", "decoded in a process"])
def test_a_bad_file_leaves_the_others(client: httpx.Client, pngs: list[bytes], large: bool) -> None:
    blank = _png(np.full((28, 28, 1), 255, dtype=np.uint8))
    files = [pngs[0], b"no image", pngs[1], blank, png_header(60_000), b""]
    if large:
        buffer = io.BytesIO()
        Image.open(io.BytesIO(pngs[0])).resize((1500, 1500)).save(buffer, "TIFF", compression="tiff_lzw")
        files.append(buffer.getvalue())
    answer = client.post(CLASSIFY, json={"images": [_base64(file) for file in files]})
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert ["label" in result for result in results] == [True, False, True, False, False, False] + [
        True
    ] * large
    for result in results:
        assert "label" in result or "\n" not in result["error"]
    alone = [client.post(CLASSIFY, content=png).json()["label"] for png in pngs[:2]]
    assert [results[0]["label"], results[2]["label"]] == alone


def test_files_of_which_none_can_be_used_are_422(client: httpx.Client) -> None:
    answer = client.post(CLASSIFY, json={"images": ["bm8=", "!"]})
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("none of the 2 images can be used; the first: ")


def test_a_blank_page_is_one_clear_line(client: httpx.Client) -> None:
    answer = client.post(CLASSIFY, content=_png(np.full((300, 200, 1), 255, dtype=np.uint8)))
    assert answer.status_code == 422
    assert "blank" in answer.json()["error"] or "no digit" in answer.json()["error"]


def test_more_files_than_a_batch_are_400(models: Path, pngs: list[bytes], tmp_path: Path) -> None:
    with (
        running(models, tmp_path / "log", "--max-batch", "2", "--max-pixels", "900") as started,
        httpx.Client(base_url=started.url) as client,
    ):
        files = [("file", ("a.png", pngs[0]))] * 3
        assert client.post(CLASSIFY, files=files[:2]).status_code == 200
        assert client.post(CLASSIFY, files=files).status_code == 400
        assert client.post(CLASSIFY, json={"images": [_base64(pngs[0])] * 3}).status_code == 400
        answer = client.post(CLASSIFY, content=_png(np.zeros((31, 31, 1), dtype=np.uint8)))
        assert answer.status_code == 422
        assert "more than 900 pixels" in answer.json()["error"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_large_compressed_body_is_the_same_picture(
    client: httpx.Client, pngs: list[bytes], encoding: str
) -> None:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(pngs[0])).resize((1500, 1500)).save(buffer, "BMP")
    noise = np.random.default_rng(0).bytes(2**20)  # what does not get smaller takes several steps
    content = buffer.getvalue() + noise
    compressed = gzip.compress(content) if encoding == "gzip" else zlib.compress(content)
    plain = client.post(CLASSIFY, content=content)
    assert plain.status_code == 200
    answer = client.post(CLASSIFY, content=compressed, headers={"Content-Encoding": encoding})
    assert answer.json() == plain.json()


def test_the_description_says_what_may_be_sent(client: httpx.Client) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/v1/classify/{model}"]["post"]
    assert set(operation["requestBody"]["content"]) == {"image/*", "multipart/form-data", "application/json"}
    assert "results" in operation["description"]


def test_json_for_another_route_is_still_json(client: httpx.Client) -> None:
    """A tensor that is sent to the wrong place is told what is expected there."""
    answer = client.post(CLASSIFY, json=infer_request())
    assert answer.status_code == 400
    assert '{"image"' in answer.json()["error"]
