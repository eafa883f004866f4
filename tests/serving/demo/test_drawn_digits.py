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
    """Without AlexNet, which takes as long as all the others."""
    sessions = [Session(path, provider="cpu") for path in list_models(ROOT / "exported").values()]
    return [
        session
        for session in sessions
        if session.metadata.dataset == "mnist" and session.metadata.architecture != "alexnet_finetuned"
    ]


@pytest.fixture(scope="module")
def accuracies(
    tiles: tuple[list[Image.Image], np.ndarray], digit_models: list[Session]
) -> dict[str, tuple[float, float]]:
    """Of each model, on tiles that are prepared, and on tiles that are merely made smaller."""
    drawn, digits = tiles
    (form,) = {session.metadata.input for session in digit_models}
    prepared = np.stack([prepare(tile, form) for tile in drawn])
    squeezed = np.stack([np.asarray(tile.resize((28, 28)), dtype=np.uint8)[..., None] for tile in drawn])

    def accuracy(session: Session, images: np.ndarray) -> float:
        return float((session.predict(images).classes == digits).mean())

    return {
        session.name: (accuracy(session, prepared), accuracy(session, squeezed)) for session in digit_models
    }


def test_the_best_model_reads_drawn_digits(
    tiles: tuple[list[Image.Image], np.ndarray], accuracies: dict[str, tuple[float, float]]
) -> None:
    assert len(tiles[0]) >= 200
    assert max(prepared for prepared, _ in accuracies.values()) >= _LEAST


def test_it_is_the_preprocessing_that_does_it(accuracies: dict[str, tuple[float, float]]) -> None:
    for name, (prepared, squeezed) in accuracies.items():
        assert 1 - prepared < (1 - squeezed) / 2, name


def test_few_drawn_digits_are_found_unlike_the_training_data(
    tiles: tuple[list[Image.Image], np.ndarray], digit_models: list[Session]
) -> None:
    for session in digit_models:
        images = np.stack([prepare(tile, session.metadata.input) for tile in tiles[0]])
        familiar = session.are_familiar(images, session.predict(images).logits)
        assert familiar is not None
        assert familiar.mean() >= 0.8, session.name
