"""The images of a comparison, at the size that each candidate takes."""

from pathlib import Path

from vision_zoo.data import find_dataset
from vision_zoo.data.dataset import Dataset, Splits
from vision_zoo.recipes.recipe import Recipe


class ComparedImages:
    """A dataset, loaded once in every size. A user's own images have the same splits in each of them."""

    def __init__(self, dataset: str, data_dir: Path | None) -> None:
        self._dataset = dataset
        self._data_dir = data_dir
        self._loaded: dict[int | None, tuple[Dataset, Splits]] = {}

    def at(self, image_size: int | None) -> tuple[Dataset, Splits]:
        """The dataset and its splits, `image_size` pixels square where that can be chosen."""
        if image_size not in self._loaded:
            dataset = find_dataset(self._dataset, image_size=image_size)
            self._loaded[image_size] = dataset, dataset.load(self._data_dir)
        return self._loaded[image_size]

    def of(self, recipe: Recipe) -> tuple[Dataset, Splits]:
        """What `recipe` trains on."""
        return self.at(recipe.data.image_size)
