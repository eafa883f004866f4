"""Recipes on mnist-5k, the digits that need no download."""

from vision_zoo.recipes.recipe import Recipe

RECIPES = (
    Recipe(
        name="simple_cnn-mnist_5k",
        title="The quickstart: SimpleCNN on 4,000 digits",
        architecture="simple_cnn",
        dataset="mnist-5k",
        parameters=421_642,
        mean=(0.5,),
        std=(0.5,),
        epochs=10,
        batch_size=64,
        test_curve=True,
    ),
)
