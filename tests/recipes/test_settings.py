"""Settings in groups: their names in files, their bounds and their options."""

import dataclasses
import json
from typing import Any

import pytest

from vision_zoo.core.errors import RunError, UsageError
from vision_zoo.recipes import RECIPES
from vision_zoo.recipes.recipe import SETTINGS, Augmentation, Recipe

_PLAIN = RECIPES["simple_cnn-mnist_5k"]

# A recipe.json of before there were groups, with another value than its default for each key.
_FILE: dict[str, Any] = {
    "name": "airbench-mine",
    "architecture": "airbench",
    "dataset": "folder:/pictures",
    "mean": [0.1, 0.2, 0.3],
    "std": [0.4, 0.5, 0.6],
    "title": "t",
    "remark": "r",
    "report": "A",
    "reported": {"test_accuracy": 0.9, "best_epoch": 7},
    "companion_of": "c",
    "parameters": 7,
    "architecture_arguments": {"widths": [64, 256]},
    "epochs": 3,
    "batch_size": 64,
    "optimizer": "sgd",
    "learning_rate": 0.5,
    "weight_decay": 0.1,
    "momentum": 0.85,
    "offset_lr_factor": 64.0,
    "label_smoothing": 0.2,
    "test_time_flip": True,
    "softmax_before_loss": True,
    "precision": "bf16",
    "schedule": "one_cycle",
    "warmup": 0.5,
    "step_epochs": None,
    "gamma": 0.5,
    "augmentation": {
        "rotation": 10,
        "shift": 2,
        "horizontal_flip": 0.5,
        "crop_scale": [0.8, 1.0],
        "cutout": 12,
    },
    "max_steps": 290,
    "max_minutes": 30,
    "pretrained": "p",
    "transfer_from": "f",
    "frozen": False,
    "image_size": 32,
    "patience": 5,
    "validation_fraction": 0.2,
    "test_curve": True,
    "seed": 4,
}


def _restricted(values: dict[str, Any], to: dict[str, Any]) -> dict[str, Any]:
    """The values of the keys that `to` has: later versions know more."""
    return {
        key: _restricted(values[key], former) if isinstance(former, dict) else values[key]
        for key, former in to.items()
    }


def test_files_of_before_the_groups_are_read_and_written() -> None:
    recipe = Recipe.from_json(json.dumps(_FILE), name="r")
    assert _restricted(json.loads(recipe.to_json()), _FILE) == _FILE
    assert (recipe.optimizer.kind, recipe.optimizer.bias_lr_factor) == ("sgd", 64.0)
    assert (recipe.schedule.kind, recipe.schedule.warmup_fraction) == ("one_cycle", 0.5)
    assert (recipe.data.mean, recipe.data.image_size) == ((0.1, 0.2, 0.3), 32)
    assert (recipe.stopping.patience, recipe.batch_size) == (5, 64)
    assert recipe.augmentation is not None
    assert recipe.augmentation.crop_scale == (0.8, 1.0)


def test_a_file_without_newer_keys_has_their_defaults() -> None:
    needed = {key: _FILE[key] for key in ("name", "architecture", "dataset", "mean", "std")}
    recipe = Recipe.from_json(json.dumps(needed), name="r")
    assert recipe == Recipe(**needed)
    assert recipe.settings().keys() == needed.keys() - {"name"}


@pytest.mark.parametrize("wrong", [{"mean": None}, {"epochs": 0}, {"xyzzy": 1}, {"augmentation": {"x": 1}}])
def test_a_file_that_is_no_recipe_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RunError, match="r is not a recipe that this version can read"):
        Recipe.from_json(json.dumps(_FILE | wrong), name="r")
    with pytest.raises(RunError, match="r is not a recipe"):
        Recipe.from_json(
            json.dumps({key: _FILE[key] for key in _FILE if key not in wrong} | {"std": 1}), name="r"
        )


def test_every_name_is_that_of_one_setting() -> None:
    places = [(setting.group, setting.field) for setting in SETTINGS.values()]
    assert len(set(places)) == len(places)
    total = sum(
        len(dataclasses.fields(value)) if dataclasses.is_dataclass(value) else 1
        for value in vars(RECIPES["airbench-mnist"]).values()
    )
    assert len(SETTINGS) == total + 1  # `augmentation` itself may be given, too


def test_changes_reach_their_groups_and_nothing_else() -> None:
    changed = _PLAIN.override(learning_rate=0.5, gamma=0.3, patience=2, rotation=5.0, epochs=None)
    assert (changed.optimizer.learning_rate, changed.schedule.gamma, changed.stopping.patience) == (
        0.5,
        0.3,
        2,
    )
    assert changed.augmentation == Augmentation(rotation=5.0)
    assert changed.replace(learning_rate=1e-3, gamma=0.1, patience=None, augmentation=None) == _PLAIN
    assert changed.replace(augmentation=Augmentation(shift=2), cutout=4).augmentation == Augmentation(
        shift=2, cutout=4
    )
    assert dataclasses.replace(changed, title="t").stopping == changed.stopping


def test_an_augmentation_that_is_switched_off_is_none() -> None:
    assert _PLAIN.override(rotation=5.0).override(rotation=0.0) == _PLAIN
    assert _PLAIN.override(rotation=0.0) == _PLAIN


def test_another_schedule_leaves_out_the_epochs_of_steps() -> None:
    stepped = _PLAIN.override(step_epochs=2)
    assert stepped.override(schedule="one_cycle").schedule.step_epochs is None
    with pytest.raises(UsageError, match="step epochs 2 is out of range; expected none with one_cycle"):
        stepped.override(schedule="one_cycle", step_epochs=2)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            {"epochs": 0},
            "epochs 0 is out of range; expected a whole number, at least 1, at most 1,000,000,000",
        ),
        ({"epochs": 2.0}, "epochs 2.0 is out of range; expected a whole number"),
        ({"seed": True}, "seed True is out of range; expected a whole number"),
        ({"gamma": 0}, "gamma 0 is out of range; expected a number, above 0, at most 1"),
        ({"momentum": float("nan")}, "momentum nan is out of range; expected a number, at least 0, below 1"),
        ({"momentum": 0.5}, "momentum 0.5 is out of range; expected none with adam"),
        ({"schedule": "cosine"}, "schedule 'cosine' is out of range; expected step, one_cycle"),
        ({"std": (0.0,)}, r"std \(0.0,\) is out of range; expected a list of values, each a number, above 0"),
        ({"mean": (0.5, 0.5)}, "mean .* is out of range; expected one value per channel, as std"),
        ({"crop_scale": (0.9, 0.8)}, "crop scale .* is out of range; expected the smaller fraction first"),
        ({"test_time_flip": 1}, "test time flip 1 is out of range; expected true or false"),
        ({"epoch": 1}, "unknown key 'epoch': did you mean 'epochs'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=f"^{says}"):
        _PLAIN.override(**wrong)


def test_a_group_checks_itself() -> None:
    with pytest.raises(UsageError, match=r"shift 0\.5 is out of range; expected a whole number"):
        Augmentation(shift=0.5)  # type: ignore[arg-type]
