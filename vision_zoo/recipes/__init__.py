"""The registry of recipes: one file per dataset for the reports, and one for modern recipes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_zoo.architectures import Architecture, find_architecture
from vision_zoo.core.choices import FolderChannels
from vision_zoo.core.errors import UsageError, VisionZooError
from vision_zoo.core.registry import Registry
from vision_zoo.recipes import airbench, cifar10, fashion_mnist, imagenette, mnist, mnist_5k
from vision_zoo.recipes.recipe import SETTINGS, Augmentation, Recipe
from vision_zoo.recipes.settings import lookup

if TYPE_CHECKING:
    from vision_zoo.data.dataset import Dataset

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for module in (mnist_5k, mnist, fashion_mnist, cifar10, imagenette, airbench)
    for recipe in module.RECIPES
}


REGISTRY = Registry("recipe", RECIPES, Recipe)
"""`RECIPES` and the plug-ins of installed packages."""

_TOML = ".toml"


def find_recipe(name: str) -> Recipe:
    """The recipe called `name`, one of `RECIPES` or a plug-in.

    Raises:
        UnknownNameError: there is none.
        PluginError: the package that offers it is broken.
    """
    return REGISTRY.find(name)


def recipe_for(
    architecture: str,
    dataset: str,
    *,
    image_size: int | None = None,
    channels: FolderChannels | None = None,
    given: Mapping[str, Any] | None = None,
) -> Recipe:
    """The published recipe for that pair where there is one, else defaults on the dataset's statistics.

    `image_size` and `channels` (by default `auto`) are for a dataset `folder:PATH`. `given` are settings that the caller
    will change, None where it will not: `default_augmentation` depends on them.

    Raises:
        UnknownNameError: no such architecture or dataset.
        DataError, UsageError: the folder is no dataset, or the size is not one's to choose.
        PluginError: a package that offers one of them is broken.
    """
    from vision_zoo.data import find_dataset

    entry = find_architecture(architecture)
    size = _image_size(entry, dataset, image_size)
    data = find_dataset(dataset, image_size=size, channels=channels or "auto")
    name = f"{architecture.replace(':', '_')}-{data.name.replace('-', '_')}"
    return (
        find_recipe(name)
        if name in REGISTRY
        else Recipe(name=name, **_defaults(entry, dataset, data, given or {}))
    )


def read_recipe(
    path: Path,
    *,
    image_size: int | None = None,
    channels: FolderChannels | None = None,
    given: Mapping[str, Any] | None = None,
) -> Recipe:
    """The recipe in a TOML file: keys as in its JSON, `augmentation` a table.

    `architecture` and `dataset` have to be there. `name` is the file's without its suffix; `mean` and `std` are the
    dataset's, and what the architecture needs on any dataset is set, where the file says nothing else. A dataset
    `folder:PATH` and a `split` are relative to the file's folder. `image_size` and `channels` are instead of the file's;
    `given` is that of `recipe_for`.

    Raises:
        UsageError: no such file, it is not TOML, or a key is unknown, missing, of another type or out of range.
        UnknownNameError: no such architecture or dataset.
        DataError: the folder is no dataset.
    """
    from vision_zoo.data import find_dataset
    from vision_zoo.data.own_folder import PREFIX, folder_path, is_own_folder
    from vision_zoo.recipes.toml_file import read_settings

    settings = read_settings(path)
    if image_size is not None:
        settings["image_size"] = image_size
    with _naming(path):
        entry, dataset = find_architecture(settings["architecture"]), settings.pop("dataset")
        if is_own_folder(dataset):
            dataset = f"{PREFIX}{path.parent / folder_path(dataset)}"
        if settings.get("split") is not None:
            settings["split"] = str(path.parent / Path(settings["split"]).expanduser())
        size = _image_size(entry, dataset, settings.get("image_size"))
        channels = channels or settings.get("channels") or "auto"
        settings.pop("channels", None)
        data = find_dataset(dataset, image_size=size, channels=channels)
        defaults = _defaults(entry, dataset, data, {**settings, **(given or {})})
        return Recipe(**{**defaults, **settings})


def choose_recipe(
    recipe: str | Path | Recipe | None,
    architecture: str | None,
    dataset: str | None,
    *,
    image_size: int | None,
    changes: Mapping[str, Any],
    given: Mapping[str, Any] | None = None,
) -> Recipe:
    """The recipe that a user names: by its name or its TOML file, or by an architecture and a dataset together.

    `changes` are settings of it, None where nothing is to change, and `given` others that the caller will change.

    Raises:
        UsageError: neither or both of them, an unknown field, or a value out of range.
        UnknownNameError: no such recipe, architecture or dataset.
        DataError: a folder is no dataset.
    """
    for name in changes:
        lookup(SETTINGS, name)
    channels, given = changes.get("channels"), {**changes, **(given or {})}
    if recipe is not None and architecture is None and dataset is None:
        if isinstance(recipe, Recipe):
            chosen = recipe.override(image_size=image_size, channels=channels)
        elif str(recipe).lower().endswith(_TOML):
            chosen = read_recipe(Path(recipe), image_size=image_size, channels=channels, given=given)
        else:
            chosen = find_recipe(str(recipe)).override(image_size=image_size, channels=channels)
    elif recipe is None and architecture is not None and dataset is not None:
        chosen = recipe_for(architecture, dataset, image_size=image_size, channels=channels, given=given)
    else:
        if dataset is not None:
            from vision_zoo.data import refuse_path

            refuse_path(dataset)
        if recipe is not None:
            raise UsageError("a recipe names its architecture and dataset; omit --architecture and --dataset")
        raise UsageError(
            "train needs a recipe, or both --architecture and --dataset; `vision-zoo list recipes` lists recipes"
        )
    changed = chosen.override(**{**changes, "channels": None})
    require_effects(changed, changes)
    return changed


def require_effects(recipe: Recipe, changes: Mapping[str, Any]) -> None:
    """Raise UsageError where one of `changes`, which `recipe` has, plays no part in its runs; None is no change."""
    schedule, stopping = recipe.schedule, recipe.stopping
    crops = recipe.augmentation is not None and recipe.augmentation.crop_scale is not None
    missing = {
        "gamma": "step epochs" * (schedule.step_epochs is None),
        "warmup_fraction": "the schedule one_cycle" * (schedule.kind != "one_cycle"),
        "kept_weights": "validation" * (changes.get("kept_weights") == "best" and not stopping.is_validated),
        "validation_fraction": "validation" * (not stopping.is_validated),
        "crop_tries": "a crop scale" * (not crops),
        "feature_lr_factor": "fine-tuning" * (recipe.fine_tune is None),
        "muon_learning_rate": "the optimizer muon" * (recipe.optimizer.kind != "muon"),
    }
    for name, value in changes.items():
        if value is not None and missing.get(name):
            raise UsageError(
                f"{name.replace('_', ' ')} {value} has no effect without {missing[name]}; omit it"
            )
    if changes.get("validate") is False and stopping.is_validated:
        raise UsageError(
            f"patience {stopping.patience} needs validation; omit one of patience and no validation"
        )


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the file in the message of what is wrong with it."""
    try:
        yield
    except VisionZooError as error:
        raise type(error)(f"{path}: {error}") from error


def _image_size(architecture: Architecture, dataset: str, chosen: int | None) -> int | None:
    from vision_zoo.data.own_folder import is_own_folder

    return architecture.image_size if chosen is None and is_own_folder(dataset) else chosen


def default_augmentation(settings: Mapping[str, Any]) -> Augmentation | None:
    """The augmentation of a network trained on a folder of images: small rotations and crops, which change no class.

    `settings` are those of its recipe that are known. There is none by default where they have an augmentation, which
    replaces it, where features are frozen and not fine-tuned, since these are computed once, and where a teacher labels
    views, which are augmented otherwise.
    """
    chosen = any(name == "augmentation" or SETTINGS[name].group == "augmentation" for name in settings)
    frozen = settings.get("frozen") and "fine_tune" not in settings
    if chosen or frozen or "distil_from" in settings:
        return None
    return Augmentation(rotation=10, crop_scale=(0.8, 1.0))


def _defaults(
    architecture: Architecture, dataset: str, data: "Dataset", given: Mapping[str, Any]
) -> dict[str, Any]:
    """The settings of a recipe that nobody has thought about: `data` is the dataset called `dataset`.

    `given` are settings that will replace them.
    """
    from vision_zoo.data.folder_contents import training_pictures
    from vision_zoo.data.own_folder import PREFIX, folder_path, is_own_folder
    from vision_zoo.data.split_rule import split_file_in

    settings: dict[str, Any] = {"architecture": architecture.name, "mean": data.mean, "std": data.std}
    settings |= {"dataset": dataset, **architecture.recipe_defaults}
    if is_own_folder(dataset):
        path = folder_path(dataset).resolve()
        split = split_file_in(path)
        settings |= {"dataset": f"{PREFIX}{path}", "image_size": data.input.height, "validate": True}
        settings["channels"] = "gray" if data.input.channels == 1 else "colour"
        settings["split"] = None if split is None else str(split)
        usual = settings.get("batch_size", SETTINGS["batch_size"].default)
        settings["batch_size"] = _batch_size(training_pictures(path), usual)
        if "pretrained" not in settings:
            settings["ema_decay"] = _EMA_DECAY
        known = {name: value for name, value in given.items() if value is not None}
        augmentation = default_augmentation({**settings, **known})
        if augmentation is not None:
            settings["augmentation"] = augmentation
    return settings


_EMA_DECAY = 0.99
_FEW_PICTURES, _SMALL_BATCH = 2000, 32
_STEPS = 4
"""An epoch has at least so many."""


def _batch_size(pictures: int, usual: int) -> int:
    """The usual batch size, or less where the pictures are few; a power of two then."""
    if pictures >= _FEW_PICTURES:
        return usual
    fits: int = 2 ** max(1, (pictures // _STEPS).bit_length() - 1)
    return min(usual, _SMALL_BATCH, fits)
