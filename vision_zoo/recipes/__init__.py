"""The registry of recipes: one file a dataset for the reports' and their companions, and one for those of today."""

from typing import Any

from vision_zoo.architectures import find_architecture
from vision_zoo.core.registry import lookup
from vision_zoo.data import find_dataset
from vision_zoo.data.own_folder import PREFIX, folder_path, is_own_folder
from vision_zoo.recipes import airbench, cifar10, fashion_mnist, imagenette, mnist, mnist_5k
from vision_zoo.recipes.recipe import Recipe

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for module in (mnist_5k, mnist, fashion_mnist, cifar10, imagenette, airbench)
    for recipe in module.RECIPES
}


def find_recipe(name: str) -> Recipe:
    """The recipe called `name`.

    Raises:
        UnknownNameError: there is none.
    """
    return lookup("recipe", name, RECIPES, listing="vision-zoo list recipes")


def recipe_for(architecture: str, dataset: str, *, image_size: int | None = None) -> Recipe:
    """The published recipe for that pair where there is one, else defaults on the dataset's statistics.

    `image_size` is for a dataset `folder:PATH`.

    Raises:
        UnknownNameError: no such architecture or dataset.
        DataError, UsageError: the folder is no dataset, or the size is not one's to choose.
    """
    entry = find_architecture(architecture)
    data = find_dataset(dataset, image_size=image_size)
    name = f"{architecture}-{data.name.replace('-', '_')}"
    if name in RECIPES:
        return RECIPES[name]
    statistics: dict[str, Any] = {"mean": data.mean, "std": data.std}
    if is_own_folder(dataset):
        dataset = f"{PREFIX}{folder_path(dataset).resolve()}"
        statistics["image_size"] = data.input.height
    return Recipe(
        name=name, architecture=architecture, dataset=dataset, **{**statistics, **entry.recipe_defaults}
    )
