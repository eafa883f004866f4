"""The settings of a recipe that commands offer as options, and all of them as a table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vision_zoo.data.scan import portable
from vision_zoo.recipes.recipe import FIELD_NAMES, SETTINGS

OPTIONS = {name: setting for name, setting in SETTINGS.items() if setting.help}
"""Those that are options of `train`; the numbers among them are what `tune` can search."""
_OF_SEARCH = {
    "seed",
    "precision",
    "schedule",
    "warmup_fraction",
    "validate",
    "kept_weights",
    "max_steps",
    "max_minutes",
    "fine_tune",
    "feature_lr_factor",
}
COMPARED = {
    name: setting
    for name, setting in OPTIONS.items()
    if name not in _OF_SEARCH and setting.group != "distillation"
}
"""Those that `compare` takes, too: its budget and its search decide the others."""
_SHORT = {"learning_rate": "lr", "muon_learning_rate": "muon-lr"}


def option_name(setting: str) -> str:
    """The name of a setting's option: `batch-size`."""
    return _SHORT.get(setting, setting).replace("_", "-")


def without_paths(settings: Mapping[str, Any], dataset: str) -> dict[str, Any]:
    """A recipe's settings as a file may tell them: without paths of this machine, and of the dataset its name alone."""
    told = {**settings, "dataset": dataset}
    for name in ("split", "group_by"):  # how the images of a folder were divided
        told.pop(name, None)
    for name in ("distil_from", "pretrained", "transfer_from"):
        if name in told:
            told[name] = portable(Path(told[name]).name)
    return told


def settings_table(settings: Mapping[str, Any]) -> list[dict[str, str]]:
    """A row for each of a recipe's settings, by the name that people use."""
    return [
        {"setting": FIELD_NAMES.get(key, key).replace("_", " "), "value": f"{value}"}
        for key, value in settings.items()
    ]
