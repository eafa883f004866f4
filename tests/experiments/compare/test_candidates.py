"""What an architecture is trained with in a comparison."""

from pathlib import Path

import pytest

from tests.images.pictures import striped_picture
from vision_zoo.experiments.compare.candidates import recipe_of
from vision_zoo.experiments.compare.settings import ComparisonSettings


@pytest.mark.parametrize(
    ("training_images", "batch_size", "patience", "epochs"),
    [
        (60, 32, 150, 300),  # 51 to train on are 2 steps per epoch
        (240, 32, 43, 100),
        (50_000, 128, 10, 100),
    ],
)
def test_early_stopping_waits_for_three_hundred_steps_and_ten_epochs(
    tmp_path: Path, training_images: int, batch_size: int, patience: int, epochs: int
) -> None:
    for label in range(2):
        striped_picture(tmp_path / "own" / f"class{label}" / "0.png", label, label)
    settings = ComparisonSettings(dataset=f"folder:{tmp_path / 'own'}")
    recipe = recipe_of("lenet", settings, training_images)
    assert (recipe.batch_size, recipe.stopping.patience, recipe.stopping.epochs) == (
        batch_size,
        patience,
        epochs,
    )
