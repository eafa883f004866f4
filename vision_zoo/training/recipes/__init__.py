"""The registry of recipes, one file a dataset. A new recipe is a new entry in its dataset's file."""

from vision_zoo.registry import lookup
from vision_zoo.training.architectures import find_architecture
from vision_zoo.training.datasets import find_dataset
from vision_zoo.training.recipe import Recipe
from vision_zoo.training.recipes import fashion_mnist, mnist, mnist_5k

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe for module in (mnist_5k, mnist, fashion_mnist) for recipe in module.RECIPES
}


def find_recipe(name: str) -> Recipe:
    """The recipe called `name`.

    Raises:
        UnknownNameError: there is none.
    """
    return lookup("recipe", name, RECIPES, listing="vision-zoo list recipes")


def recipe_for(architecture: str, dataset: str) -> Recipe:
    """The published recipe for that pair where there is one, else its defaults on the dataset's statistics.

    Raises:
        UnknownNameError: no such architecture or dataset.
    """
    find_architecture(architecture)
    data = find_dataset(dataset)
    name = f"{architecture}-{dataset.replace('-', '_')}"
    if name in RECIPES:
        return RECIPES[name]
    return Recipe(name=name, architecture=architecture, dataset=dataset, mean=data.mean, std=data.std)
