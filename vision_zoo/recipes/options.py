"""The settings of a recipe that commands offer as options, and all of them as a table."""

from vision_zoo.recipes.recipe import FIELD_NAMES, SETTINGS, Recipe

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
_SHORT = {"learning_rate": "lr"}


def option_name(setting: str) -> str:
    """The name of a setting's option: `batch-size`."""
    return _SHORT.get(setting, setting).replace("_", "-")


def settings_table(recipe: Recipe) -> list[dict[str, str]]:
    """A row for each setting of a recipe, by the name that people use."""
    return [
        {"setting": FIELD_NAMES.get(key, key).replace("_", " "), "value": f"{value}"}
        for key, value in recipe.settings().items()
    ]
