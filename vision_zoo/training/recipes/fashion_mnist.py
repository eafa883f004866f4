"""Experiments on Fashion-MNIST."""

from vision_zoo.training.recipe import Recipe

RECIPES = (
    Recipe(
        name="simple_cnn-fashion_mnist",
        title="SimpleCNN with the settings of its MNIST experiment; no report has this row",
        architecture="simple_cnn",
        dataset="fashion-mnist",
        parameters=421_642,
        mean=(0.5,),
        std=(0.5,),
        epochs=10,
        batch_size=128,
        test_curve=True,
    ),
)
