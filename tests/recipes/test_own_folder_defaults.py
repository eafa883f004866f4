"""What `train` does with a user's own folder when nobody says otherwise."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Completed
from tests.training.runs import fill
from vision_zoo.recipes import recipe_for
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training.loader import training_splits
from vision_zoo.training.run_data import read_recorded
from vision_zoo.training.run_directory import RunDirectory


def _empty_pictures(folder: Path, count: int) -> Path:
    """Two classes of files that are counted, and never decoded."""
    for number in range(count):
        file = folder / ("cat", "dog")[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return folder


@pytest.mark.parametrize(
    ("pictures", "batch_size"),
    [(4, 2), (20, 4), (100, 16), (300, 32), (2400, 32), (2600, 128)],  # a fifth of them is for the test
)
def test_an_epoch_of_few_pictures_has_several_batches(tmp_path: Path, pictures: int, batch_size: int) -> None:
    folder = _empty_pictures(tmp_path / "own", pictures)
    assert recipe_for("small_cnn", f"folder:{folder}").batch_size == batch_size


def test_pictures_of_other_splits_are_not_counted(tmp_path: Path) -> None:
    _empty_pictures(tmp_path / "own" / "train", 20)
    _empty_pictures(tmp_path / "own" / "val", 1000)
    _empty_pictures(tmp_path / "own" / "test", 1000)
    assert recipe_for("small_cnn", f"folder:{tmp_path / 'own'}").batch_size == 4


def test_a_batch_is_never_larger_than_the_architecture_has_it(tmp_path: Path) -> None:
    few, many = (_empty_pictures(tmp_path / str(count), count) for count in (20, 2600))
    assert recipe_for("efficientnet_lite0", f"folder:{few}").batch_size == 4
    assert recipe_for("efficientnet_lite0", f"folder:{many}").batch_size == 32


def test_the_weights_of_a_network_from_scratch_are_averaged(tmp_path: Path) -> None:
    named = f"folder:{_empty_pictures(tmp_path / 'own', 20)}"
    assert recipe_for("simple_cnn", named).optimizer.ema_decay == 0.99
    assert recipe_for("efficientnet_lite0", named).optimizer.ema_decay == 0
    assert recipe_for("lenet", "mnist-5k").optimizer.ema_decay == 0


def test_a_built_in_dataset_has_the_defaults_of_a_recipe() -> None:
    plain = Recipe(name="r", architecture="lenet", dataset="mnist-5k", mean=(0.5,), std=(0.5,))
    recipe = recipe_for("lenet", "mnist-5k")
    assert not recipe.stopping.is_validated
    assert recipe.batch_size == plain.batch_size == 128


def test_every_epoch_says_what_the_validation_part_scores(
    cli: Callable[..., Completed], tmp_path: Path
) -> None:
    fill(tmp_path / "own", range(10))
    words = ["train", "--architecture", "small_cnn", "--dataset", "folder:own", "--image-size", 16]
    done = cli(*words, "--epochs", 2, "--out", "run")
    assert done.code == 0, done.stderr
    assert (
        len(re.findall(r"epoch \d/2  train loss \S+ acc \S+  validation loss \S+ acc \S+%", done.stderr)) == 2
    )
    recorded = read_recorded(RunDirectory(tmp_path / "run"))
    assert recorded is not None
    assert sum(row.split == "validation" for row in recorded.rows) == 2
    whole = cli(*words, "--epochs", 1, "--out", "whole", "--no-validate")
    assert "validation" not in whole.stderr


def test_a_folder_of_validation_pictures_is_taken_for_it(tmp_path: Path) -> None:
    from vision_zoo.data import find_dataset

    for split in ("train", "val", "test"):
        fill(tmp_path / "own" / split, range(4))
    recipe = recipe_for("small_cnn", f"folder:{tmp_path / 'own'}", image_size=16)
    splits = find_dataset(recipe.data.dataset, image_size=16).load()
    parts = training_splits(splits, recipe)
    assert {name: len(part) for name, part in parts.items()} == {"train": 12, "validation": 12, "test": 12}
    assert "validation" not in training_splits(splits, recipe.override(validate=False))
