"""The images of a comparison, at the size that each candidate takes."""

from pathlib import Path

from vision_zoo.data import find_dataset
from vision_zoo.data.dataset import Dataset, Splits
from vision_zoo.data.own_folder import folder_path, is_own_folder
from vision_zoo.data.split_rule import SplitRule, split_file_in
from vision_zoo.experiments.compare.settings import ComparisonSettings
from vision_zoo.recipes.recipe import Recipe


class ComparedImages:
    """A dataset, loaded once in every size. A user's own images have the same splits in each of them."""

    def __init__(self, settings: ComparisonSettings, data_dir: Path | None) -> None:
        self._settings = settings
        self._data_dir = data_dir
        self._loaded: dict[int | None, tuple[Dataset, Splits]] = {}

    def at(self, image_size: int | None) -> tuple[Dataset, Splits]:
        """The dataset and its splits, `image_size` pixels square where that can be chosen."""
        if image_size not in self._loaded:
            dataset = _dataset(self._settings, image_size)
            self._loaded[image_size] = dataset, dataset.load(self._data_dir)
        return self._loaded[image_size]

    def of(self, recipe: Recipe) -> tuple[Dataset, Splits]:
        """What `recipe` trains on."""
        return self.at(recipe.data.image_size)


def _dataset(settings: ComparisonSettings, image_size: int | None) -> Dataset:
    changes = settings.changes
    file, groups = changes.get("split"), changes.get("group_by")
    chosen = None if file is None else Path(file).expanduser()
    if chosen is None and groups is not None and is_own_folder(settings.dataset):
        chosen = split_file_in(folder_path(settings.dataset))
    rule = None if chosen is groups is None else SplitRule(file=chosen, group_by=groups)
    return find_dataset(
        settings.dataset,
        image_size=image_size,
        crop=changes.get("crop", "centre"),
        channels=changes.get("channels", "auto"),
        split=rule,
    )
