"""What `results/` holds as evidence for a claim."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vision_zoo.core.results import (
    GridResult,
    SeedResult,
    TimingResult,
    ZooResult,
    load_results,
)
from vision_zoo.experiments.predictions import Predictions
from vision_zoo.experiments.report.figures import headline, learnt
from vision_zoo.experiments.report.pooled import Pooled, pool
from vision_zoo.experiments.report.verdicts import (
    RowVerdict,
    by_recipe,
    row_verdict,
    runs_required,
)
from vision_zoo.recipes import RECIPES
from vision_zoo.recipes.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Measured:
    """The runs of a recipe. `required` is how many a verdict takes at least."""

    recipe: Recipe
    hardware: str
    runs: Sequence[SeedResult]
    required: int
    row: RowVerdict | None
    predictions: Predictions | None

    @property
    def learnt(self) -> Sequence[SeedResult]:
        """The runs above chance level."""
        above = set(learnt(self.recipe, [run.test_accuracy for run in self.runs]))
        return [run for run in self.runs if run.test_accuracy in above]

    def right(self, runs: Sequence[SeedResult]) -> NDArray[np.bool_] | None:
        """Which test images each of `runs` got right: `[runs, images]`; None if that is not known of all."""
        stored = self.predictions
        if stored is None or not {run.seed for run in runs} <= set(stored.by_seed):
            return None
        return np.stack([stored.right(run.seed) for run in runs])


@dataclass(frozen=True, eq=False)
class Evidence:
    """All measurements: by recipe; `macs` are multiply-accumulate operations by (architecture, dataset)."""

    measured: Mapping[str, Measured]
    macs: Mapping[tuple[str, str], int]
    grids: Sequence[GridResult]
    timings: Sequence[TimingResult]

    def of(self, name: str) -> Measured:
        """What was measured of a recipe, which may be nothing."""
        return self.measured.get(name) or unmeasured(name)


def unmeasured(name: str, required: int | None = None) -> Measured:
    """A recipe without runs."""
    recipe = RECIPES[name]
    least = runs_required(recipe, {}) if required is None else required
    return Measured(recipe, "", (), least, row_verdict(recipe, [], ""), None)


def gather(results_dir: Path) -> Evidence:
    """Read `results_dir`."""
    documents = by_recipe(results_dir)
    measured = {}
    for name, recipe in RECIPES.items():
        found = pool(documents.get(name, []))
        required = runs_required(recipe, documents)
        measured[name] = (
            unmeasured(name, required) if found is None else _measured(recipe, found, required, results_dir)
        )
    macs = {
        (model.architecture, model.dataset): model.macs
        for zoo in load_results(results_dir, ZooResult)
        for model in zoo.models
    }
    return Evidence(
        measured, macs, load_results(results_dir, GridResult), load_results(results_dir, TimingResult)
    )


def _measured(recipe: Recipe, found: Pooled, required: int, results_dir: Path) -> Measured:
    return Measured(
        recipe,
        found.hardware,
        found.runs,
        required,
        row_verdict(recipe, found.values(headline(recipe)), found.main.data.variant),
        found.predictions(results_dir),
    )
