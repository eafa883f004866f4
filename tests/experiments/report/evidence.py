"""Measurements made up for the rules of verdicts."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vision_zoo.core.results import SeedResult
from vision_zoo.experiments.predictions import Predictions
from vision_zoo.experiments.report.claims.checks import Check
from vision_zoo.experiments.report.claims.evidence import Evidence, Measured
from vision_zoo.experiments.report.claims.verdict import Reading, judge
from vision_zoo.experiments.report.verdicts import row_verdict
from vision_zoo.recipes import find_recipe

_IMAGES = 10_000
FIRST, SECOND = "row_lstm-mnist", "small_cnn-mnist"


def measured(
    recipe: str, accuracies: Sequence[float], *, images: int = _IMAGES, shift: int = 0, **run: Any
) -> Measured:
    """Runs with these accuracies; the images that are wrong lie next to each other, from `shift` on."""
    labels = np.zeros(images, dtype=np.int64)
    by_seed, runs = {}, []
    given = {**dict.fromkeys(SeedResult.__dataclass_fields__), "steps": 100, "history": [], **run}
    for seed, accuracy in enumerate(accuracies):
        by_seed[seed] = labels.copy()
        by_seed[seed][shift : shift + round((1 - accuracy) * images)] = 1
        runs.append(SeedResult(**{**given, "seed": seed, "test_accuracy": accuracy}))
    found = find_recipe(recipe)
    row = row_verdict(found, accuracies, "original")
    return Measured(found, "A processor", runs, 5, row, Predictions(labels, by_seed))


def evidence_of(*sides: Measured, **others: Any) -> Evidence:
    """What was measured of these recipes, and nothing else."""
    given = {"macs": {}, "grids": [], "timings": [], **others}
    return Evidence({entry.recipe.name: entry for entry in sides}, **given)


def verdict_of(check: Check, *sides: Measured, **others: Any) -> str:
    """On a claim of that check alone."""
    return judge(Reading("as it is", (check,)), evidence_of(*sides, **others)).verdict
