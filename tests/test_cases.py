"""Inputs that once failed: the command line, a folder of pictures and the server give the same answer."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT, Completed
from tests.serving.server.conftest import running
from vision_zoo.data import find_dataset

CASES = ROOT / "tests" / "data" / "cases"
BROKEN_EXIF = ("exif_rational.jpg", "exif_width_tag.jpg")
PICTURES, DIGITS = "simple_cnn-cifar10", "simple_cnn-mnist"

Cli = Callable[..., Completed]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a server of the shipped models."""
    with (
        running(ROOT / "exported", tmp_path_factory.mktemp("cases") / "log") as server,
        httpx.Client(base_url=server.url, timeout=60) as opened,
    ):
        yield opened


@pytest.mark.parametrize("name", BROKEN_EXIF)
def test_the_pixels_behind_broken_exif_are_used_everywhere(
    cli: Cli, client: httpx.Client, tmp_path: Path, name: str
) -> None:
    with Image.open(CASES / name) as image:
        turned = image.transpose(Image.Transpose.ROTATE_270)  # orientation 6: the camera was held upright
    turned.save(tmp_path / "turned.png")
    for label in ("broken", "turned"):
        (tmp_path / "folder" / label).mkdir(parents=True)
        for number in range(3):
            source = CASES / name if label == "broken" else tmp_path / "turned.png"
            target = tmp_path / "folder" / label / f"{number}{source.suffix}"
            target.write_bytes(source.read_bytes())

    predicted = cli("predict", PICTURES, CASES / name, tmp_path / "turned.png", "--json").json
    served = client.post(f"/v1/classify/{PICTURES}?top=10", content=(CASES / name).read_bytes()).json()
    splits = find_dataset(f"folder:{tmp_path / 'folder'}").load()

    assert predicted[0]["probabilities"] == predicted[1]["probabilities"]
    assert served["label"] == predicted[0]["label"]
    for entry in served["probabilities"]:
        assert entry["probability"] == pytest.approx(predicted[0]["probabilities"][entry["label"]], abs=1e-6)
    assert not splits.skipped
    pictures = np.concatenate([splits.train.images, splits.test.images])
    assert len(pictures) == 6
    assert all(np.array_equal(picture, pictures[0]) for picture in pictures)


def test_one_bad_file_leaves_the_others_their_answers(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    images = [CASES / "exif_rational.jpg", "bad.png", CASES / "exif_width_tag.jpg"]
    done = cli("predict", PICTURES, *images)
    assert "1 of 3 images" in done.error
    assert "warning: bad.png" in done.stderr
    assert [line.split(":")[0].endswith(".jpg") for line in done.stdout.splitlines()] == [True, True]


def test_a_page_with_two_specks_has_no_digit(cli: Cli, client: httpx.Client) -> None:
    page = CASES / "blank_scan_two_specks.png"
    answer = client.post(f"/v1/classify/{DIGITS}", content=page.read_bytes())
    assert answer.status_code == 422
    assert "no digit" in answer.json()["error"]
    assert "no digit" in cli("predict", DIGITS, page).error


def test_a_large_seven_of_a_thin_pen_is_a_seven(cli: Cli, client: httpx.Client) -> None:
    page = CASES / "seven_pen8.png"
    assert client.post(f"/v1/classify/{DIGITS}", content=page.read_bytes()).json()["label"] == "7"
    assert cli("predict", DIGITS, page, "--json").json[0]["label"] == "7"
