"""Whether a mean of runs is the reported value: by an equivalence test, with the runs that it takes."""

from typing import Any

import numpy as np
import pytest

from vision_zoo.core.environment import Environment
from vision_zoo.core.results import DataUsed, RecipeResult, SeedResult
from vision_zoo.experiments.report.verdicts import (
    ABOVE,
    FALLS_SHORT,
    HOLDS,
    UNKNOWN,
    row_verdict,
    runs_required,
)
from vision_zoo.recipes import find_recipe

_RECIPE = find_recipe("simple_cnn-mnist")  # the report says 99.03 %


@pytest.mark.parametrize(
    ("accuracies", "variant", "verdict"),
    [
        # Student's t of two degrees of freedom is 2.92 for 90 %: ± 0.17 points for a deviation of 0.1.
        ([0.9893, 0.9903, 0.9913], "original", HOLDS),
        ([0.9888, 0.9898, 0.9908], "original", HOLDS),  # 98.81 is above 98.73
        (
            [0.9878, 0.9888, 0.9898],
            "original",
            f"{UNKNOWN}: 1 more run",
        ),  # 98.71 is not, with four runs 98.76 is
        ([0.9918, 0.9928, 0.9938], "original", f"{UNKNOWN}: 10 more runs"),  # t of 12 is 1.782
        ([0.9843, 0.9853, 0.9863], "original", FALLS_SHORT),
        ([0.9843, 0.9853, 0.9863], "JPEG copy", HOLDS),
        ([0.9843, 0.9853, 0.9863], "square JPEG copy", HOLDS),
        ([0.9957, 0.9957, 0.9957], "original", ABOVE),
        ([0.9903, 0.9903], "original", f"{UNKNOWN}: 1 more run"),
        ([0.9], "original", f"{UNKNOWN}: 2 more runs"),
        ([], "original", f"{UNKNOWN}: 3 more runs"),
        ([0.9863, 0.9873, 0.9883], "original", f"{UNKNOWN}: over 1,000 more runs"),  # on the margin
    ],
)
def test_a_mean_holds_where_its_interval_lies_within_the_tolerance(
    accuracies: list[float], variant: str, verdict: str
) -> None:
    assert str(row_verdict(_RECIPE, accuracies, variant)) == verdict


def test_there_is_no_verdict_without_a_reported_value() -> None:
    assert row_verdict(find_recipe("airbench-mnist"), [0.99] * 5, "original") is None


def test_runs_that_never_learnt_have_no_part_in_the_mean() -> None:
    recipe = find_recipe("bn_cnn_without_bn-fashion_mnist")
    learnt = [0.868, 0.869, 0.870, 0.869, 0.868, 0.870]
    assert str(row_verdict(recipe, [*learnt, 0.1, 0.1, 0.1], "original")) == f"{UNKNOWN}: 1 more run"
    assert str(row_verdict(recipe, [*learnt, 0.1, 0.1, 0.1, 0.1], "original")) == HOLDS


@pytest.mark.parametrize("runs", [3, 5])
def test_a_recipe_at_the_margin_seldom_holds(runs: int) -> None:
    """The promise of the test: of recipes that are off by just the tolerance, 5 % are said to hold."""
    random = np.random.default_rng(0)
    said = [
        str(row_verdict(_RECIPE, list(random.normal(0.9873, 0.0005, runs)), "original")) for _ in range(2000)
    ]
    assert 0.03 < said.count(HOLDS) / 2000 < 0.06  # three standard errors are 1.5 %
    assert said.count(FALLS_SHORT) / 2000 < 0.065


def _document(recipe: str, seconds: float, features: float = 0.0, **environment: Any) -> RecipeResult:
    found = find_recipe(recipe)
    here = {"cpu": "A processor", "cores": 2, "memory_gib": 8, "machine": "", "system": "", "python": ""}
    run: dict[str, Any] = {
        **dict.fromkeys(SeedResult.__dataclass_fields__),
        "cpu_seconds": 2 * (seconds - features),
        "feature_seconds": features,
        "threads": 2,
    }
    return RecipeResult(
        recipe=recipe,
        architecture=found.architecture,
        settings=found.settings(),
        parameters=1,
        data=DataUsed(variant="original", sha256=""),
        environment=Environment(**{**here, **environment}),
        runs=[SeedResult(**run)],
    )


def test_more_runs_are_required_of_a_recipe_unless_it_is_known_to_take_long() -> None:
    recipe = find_recipe("bn_cnn-fashion_mnist")
    sibling = "bn_cnn_without_augmentation-fashion_mnist"  # as much work
    assert runs_required(recipe, {}) == 5
    assert runs_required(recipe, {sibling: [_document(sibling, 1000)]}) == 3
    assert runs_required(recipe, {sibling: [_document(sibling, 599)]}) == 5
    assert runs_required(recipe, {sibling: [_document(sibling, 1000, features=600)]}) == 3
    assert runs_required(recipe, {sibling: [_document(sibling, 1000, cores=1)]}) == 5
    assert runs_required(recipe, {sibling: [_document(sibling, 1000, gpu="A GPU")]}) == 5
    assert runs_required(find_recipe("bn_cnn_without_bn-fashion_mnist"), {}) == 10
