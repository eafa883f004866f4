"""What an architecture is trained with in a comparison."""

import json
from pathlib import Path

import pytest

from tests.images.pictures import striped_picture
from vision_zoo.core.errors import UsageError
from vision_zoo.experiments.compare.candidates import recipe_of
from vision_zoo.experiments.compare.images import ComparedImages
from vision_zoo.experiments.compare.settings import ComparisonSettings
from vision_zoo.recipes.recipe import SETTINGS


def _fill(folder: Path, training_images: int) -> None:
    """Files for as many pictures, and for the fifth that is for test, beside the two that are there."""
    for number in range(2, round(training_images / 0.8)):
        (folder / f"{number}.png").touch()


@pytest.mark.parametrize(
    ("training_images", "batch_size", "patience", "epochs"),
    [
        (60, 8, 43, 100),  # 51 to train on are 7 steps per epoch
        (240, 32, 43, 100),
        (1999, 32, 10, 100),
    ],
)
def test_early_stopping_waits_for_three_hundred_steps_and_ten_epochs(
    tmp_path: Path, training_images: int, batch_size: int, patience: int, epochs: int
) -> None:
    for label in range(2):
        striped_picture(tmp_path / "own" / f"class{label}" / "0.png", label, label)
    _fill(tmp_path / "own" / "class0", training_images)
    settings = ComparisonSettings(dataset=f"folder:{tmp_path / 'own'}")
    recipe = recipe_of("lenet", settings, training_images, classes=2)
    assert (recipe.batch_size, recipe.stopping.patience, recipe.stopping.epochs) == (
        batch_size,
        patience,
        epochs,
    )


def test_settings_that_the_user_has_chosen_hold_for_every_candidate() -> None:
    chosen = {"learning_rate": 0.01, "batch_size": 16, "epochs": 3, "rotation": 5.0}
    settings = ComparisonSettings(dataset="mnist-5k", changes=chosen)
    for architecture in ("lenet", "airbench"):
        recipe = recipe_of(architecture, settings, 4000, classes=10)
        assert {name: SETTINGS[name].of(recipe) for name in ("learning_rate", "batch_size", "epochs")} == {
            name: chosen[name] for name in ("learning_rate", "batch_size", "epochs")
        }
        assert recipe.augmentation is not None
        assert recipe.augmentation.rotation == 5.0


def test_options_of_a_folder_hold_for_the_images_and_every_candidate(tmp_path: Path) -> None:
    for label in range(2):
        for number in range(8):
            striped_picture(tmp_path / "own" / f"class{label}" / f"{number // 2}-{number}.png", label, number)
    rows = "".join(
        f"class{label}/{number // 2}-{number}.png,{'test' if number > 5 else 'train'}\n"
        for label in range(2)
        for number in range(8)
    )
    (tmp_path / "parts.csv").write_text(f"file,split\n{rows}")
    dataset = f"folder:{tmp_path / 'own'}"
    chosen = {"crop": "pad", "channels": "gray", "split": str(tmp_path / "parts.csv"), "group_by": "^[^-]+"}
    settings = ComparisonSettings(dataset=dataset, image_size=16, changes=chosen)
    images = ComparedImages(settings, None)
    recipe = recipe_of("lenet", settings, 12, classes=2)
    assert {name: SETTINGS[name].of(recipe) for name in chosen} == chosen
    found, splits = images.of(recipe)
    assert (found.input.shape, found.input.crop) == ((16, 16, 1), "none")
    assert {file.name.split("/")[1] for file in splits.test.files} == {"3-6.png", "3-7.png"}
    grouped = ComparedImages(
        ComparisonSettings(dataset=dataset, image_size=16, changes={"group_by": "^[^-]+"}), None
    )
    tests = {file.name for file in grouped.at(16)[1].test.files}
    assert len(tests) % 2 == 0
    assert all(sum(name.startswith(f"{one.split('-')[0]}-") for name in tests) == 2 for one in tests)


def test_options_of_a_folder_are_for_folders() -> None:
    settings = ComparisonSettings(dataset="mnist-5k", changes={"crop": "pad"})
    with pytest.raises(UsageError, match="crop can be chosen only for folder:PATH"):
        ComparedImages(settings, None).at(None)


def test_what_the_search_decides_is_nobodys_choice() -> None:
    with pytest.raises(UsageError, match="unknown key 'seed'"):
        ComparisonSettings(dataset="mnist-5k", changes={"seed": 1})
    with pytest.raises(UsageError, match="batch size 0 is out of range"):
        ComparisonSettings(dataset="mnist-5k", changes={"batch_size": 0})


def test_a_comparison_without_changes_is_the_same_as_before_there_were_any() -> None:
    assert "changes" not in ComparisonSettings(dataset="mnist-5k").to_json()
    kept = ComparisonSettings(dataset="mnist-5k", changes={"crop_scale": (0.5, 1.0)}).to_json()
    assert json.loads(json.dumps(kept)) == kept


def test_a_head_on_frozen_features_is_solved_on_all_images(tmp_path: Path) -> None:
    """Unless they are many, or the user says how it is trained."""
    for label in range(2):
        striped_picture(tmp_path / "own" / f"class{label}" / "0.png", label, label)
    _fill(tmp_path / "own" / "class0", 240)
    dataset = f"folder:{tmp_path / 'own'}"
    settings = ComparisonSettings(dataset=dataset)
    few, many = (recipe_of("efficientnet_lite0", settings, images, classes=2) for images in (240, 50_000))
    for recipe in (few, many):
        assert recipe.stopping.patience is None
        assert recipe.augmentation is None
        assert recipe.data.image_size == 224  # other architectures take 64
    assert (few.optimizer.kind, few.stopping.epochs) == ("lbfgs", 1)
    assert (many.optimizer.kind, many.stopping.epochs) == ("adam", 30)
    for budget, kind in ((60, "adam"), (1200, "lbfgs")):  # its cross-validation takes a minute
        settings = ComparisonSettings(dataset=dataset, budget_seconds=budget)
        assert recipe_of("efficientnet_lite0", settings, 1500, classes=300).optimizer.kind == kind
    for changes, kind, epochs in (
        ({"weight_decay": 0.1}, "lbfgs", 1),
        ({"learning_rate": 0.01}, "adam", 75),
        ({"rotation": 5.0}, "adam", 100),  # other features in every epoch: with validation, until it stops
    ):
        chosen = recipe_of(
            "efficientnet_lite0", ComparisonSettings(dataset=dataset, changes=changes), 240, classes=2
        )
        assert (chosen.optimizer.kind, chosen.stopping.epochs) == (kind, epochs)
