"""What `train` does with a user's own folder when nobody says otherwise."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Completed
from tests.training.runs import fill
from vision_zoo.api.runs import chosen_recipe
from vision_zoo.experiments.compare.candidates import recipe_of
from vision_zoo.experiments.compare.settings import ComparisonSettings
from vision_zoo.recipes import choose_recipe, read_recipe, recipe_for
from vision_zoo.recipes.options import COMPARED
from vision_zoo.recipes.recipe import Augmentation, Recipe
from vision_zoo.training.loader import training_splits
from vision_zoo.training.run_data import read_recorded
from vision_zoo.training.run_directory import RunDirectory

DEFAULT = Augmentation(rotation=10, crop_scale=(0.8, 1.0))


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


@pytest.mark.parametrize(
    ("architecture", "given", "expected"),
    [
        ("simple_cnn", {}, DEFAULT),
        ("simple_cnn", {"epochs": 3, "rotation": None}, DEFAULT),
        ("simple_cnn", {"rotation": 5.0}, Augmentation(rotation=5)),  # it replaces the default
        ("simple_cnn", {"rotation": 0.0}, None),
        ("simple_cnn", {"distil_from": "teacher"}, None),  # its views are augmented otherwise
        ("efficientnet_lite0", {}, None),  # frozen features are computed once
        ("efficientnet_lite0", {"fine_tune": "last"}, DEFAULT),
    ],
)
def test_train_and_compare_augment_a_folder_by_one_rule(
    tmp_path: Path, architecture: str, given: dict[str, Any], expected: Augmentation | None
) -> None:
    named = f"folder:{_empty_pictures(tmp_path / 'own', 20)}"
    trained = choose_recipe(None, architecture, named, image_size=None, changes=given)
    assert trained.augmentation == expected
    changes = {name: value for name, value in given.items() if value is not None}
    if changes.keys() <= COMPARED.keys():
        compared = recipe_of(architecture, ComparisonSettings(dataset=named, changes=changes), 16, classes=2)
        assert compared.augmentation == expected


def test_a_file_or_a_frozen_run_decides_on_augmentation(tmp_path: Path) -> None:
    folder = _empty_pictures(tmp_path / "own", 20)
    file, head = tmp_path / "my.toml", 'architecture = "simple_cnn"\ndataset = "folder:own"\n'
    for text, expected in (("", DEFAULT), ("[augmentation]\nshift = 2\n", Augmentation(shift=2))):
        file.write_text(head + text)
        assert read_recipe(file).augmentation == expected
    copied = chosen_recipe(
        None,
        "simple_cnn",
        f"folder:{folder}",
        image_size=None,
        transfer=tmp_path / "run",
        teacher=None,
        changes={},
    )
    assert copied.augmentation is None


def test_a_built_in_dataset_has_the_defaults_of_a_recipe() -> None:
    plain = Recipe(name="r", architecture="lenet", dataset="mnist-5k", mean=(0.5,), std=(0.5,))
    recipe = recipe_for("lenet", "mnist-5k")
    assert not recipe.stopping.is_validated
    assert recipe.augmentation is None
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
