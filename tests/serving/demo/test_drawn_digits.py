"""Digits in other hands than MNIST's: fonts that imitate handwriting, off-centre, thick and thin, large and small."""

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT
from vision_zoo.images.preprocess import prepare
from vision_zoo.serving.models import list_models
from vision_zoo.serving.session import Session

_TILE = 70
_LEAST = 0.98
"""What scaling into 20 x 20 and centring by mass reaches with the best shipped model."""


@pytest.fixture(scope="module")
def tiles() -> tuple[list[Image.Image], np.ndarray]:
    sheet = Image.open(ROOT / "tests" / "data" / "drawn_digits.png")
    boxes = [
        (column * _TILE, row * _TILE, (column + 1) * _TILE, (row + 1) * _TILE)
        for row in range(sheet.height // _TILE)
        for column in range(10)
    ]
    return [sheet.crop(box) for box in boxes], np.tile(np.arange(10), sheet.height // _TILE)


@pytest.fixture(scope="module")
def digit_models() -> list[Session]:
    sessions = [Session(path, provider="cpu") for path in list_models(ROOT / "exported").values()]
    return [session for session in sessions if session.metadata.dataset == "mnist"]


def _accuracy(session: Session, images: np.ndarray, digits: np.ndarray) -> float:
    return float((session.predict(images).classes == digits).mean())


def test_the_best_model_reads_drawn_digits(
    tiles: tuple[list[Image.Image], np.ndarray], digit_models: list[Session]
) -> None:
    drawn, digits = tiles
    assert len(drawn) >= 200
    best = max(
        _accuracy(session, np.stack([prepare(tile, session.metadata.input) for tile in drawn]), digits)
        for session in digit_models
    )
    assert best >= _LEAST


def test_it_is_the_preprocessing_that_does_it(
    tiles: tuple[list[Image.Image], np.ndarray], digit_models: list[Session]
) -> None:
    drawn, digits = tiles
    squeezed = np.stack([np.asarray(tile.resize((28, 28)), dtype=np.uint8)[..., None] for tile in drawn])
    for session in digit_models:
        prepared = np.stack([prepare(tile, session.metadata.input) for tile in drawn])
        wrong, wrong_squeezed = (1 - _accuracy(session, images, digits) for images in (prepared, squeezed))
        assert wrong < wrong_squeezed / 2, session.name
