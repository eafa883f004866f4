"""Recipes: their files and names, and settings that do not go together."""

from typing import Any

import pytest

from vision_zoo.core.errors import RunError, UsageError
from vision_zoo.recipes import RECIPES, find_recipe, recipe_for
from vision_zoo.recipes.recipe import Recipe

QUICK = find_recipe("simple_cnn-mnist_5k").override(epochs=3, batch_size=512)


def test_recipes_survive_their_file() -> None:
    for recipe in RECIPES.values():
        assert Recipe.from_json(recipe.to_json(), name="recipe.json") == recipe


@pytest.mark.parametrize("text", ["", "[]", '{"name": "x"}', '{"mean": 3}'])
def test_a_damaged_recipe_file_is_refused(text: str) -> None:
    with pytest.raises(RunError, match="is not a recipe"):
        Recipe.from_json(text, name="recipe.json")


def test_recipes_are_named_after_architecture_and_dataset() -> None:
    for recipe in RECIPES.values():
        dataset = recipe.data.dataset.removesuffix("-160")  # the same images before they are scaled
        assert recipe.name.endswith(f"-{dataset.replace('-', '_')}")


def test_a_pair_without_a_recipe_gets_the_datasets_statistics() -> None:
    assert recipe_for("simple_cnn", "mnist") is find_recipe("simple_cnn-mnist")


def test_the_learning_rate_falls_in_steps() -> None:
    recipe = QUICK.override(learning_rate=0.1, step_epochs=2, gamma=0.1)
    assert [recipe.learning_rate_at(epoch) for epoch in range(5)] == pytest.approx(
        [0.1, 0.1, 0.01, 0.01, 0.001]
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"momentum": 0.9},
        {"bias_lr_factor": 0.0},
        {"optimizer": "sgd", "momentum": 1.0},
        {"label_smoothing": 1.0},
        {"schedule": "cosine"},
        {"schedule": "one_cycle", "step_epochs": 2},
        {"warmup_fraction": 0.0},
        {"test_time_flip": True, "frozen": True},
    ],
)
def test_settings_that_do_not_go_together_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="out of range"):
        QUICK.override(**wrong)
