"""Whether a recipe's runs reproduce the reported value, and how many runs it takes to tell."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_zoo.core.estimates import MAX_RUNS, Band, estimate_mean, p_inside, p_outside, runs_needed
from vision_zoo.core.results import RecipeResult, load_results
from vision_zoo.core.statistics import SIGNIFICANT
from vision_zoo.core.tables import counted
from vision_zoo.experiments.report.figures import headline, learnt
from vision_zoo.recipes import RECIPES
from vision_zoo.recipes.recipe import Recipe

POINTS = 0.3
POINTS_ON_COPY = 1.5
RUNS, RUNS_IF_SHORT, SHORT_SECONDS = 3, 5, 600
RUNS_IF_UNSTEADY = 10
_UNSTEADY = {  # some of their runs may not learn
    "bn_cnn_without_bn-fashion_mnist",
    "bn_cnn_without_bn_without_augmentation-fashion_mnist",
}
HOLDS, ABOVE, FALLS_SHORT, UNKNOWN = "holds", "above the report", "falls short", "cannot be told yet"


@dataclass(frozen=True)
class RowVerdict:
    """A verdict; `more_runs` is how many more are needed to decide it, None for more than `MAX_RUNS`."""

    verdict: str
    more_runs: int | None = 0

    def __str__(self) -> str:
        if self.verdict != UNKNOWN:
            return self.verdict
        return f"{UNKNOWN}: {more_runs(self.more_runs)}"


def more_runs(count: int | None) -> str:
    """A number of further runs in words; None for too many."""
    if count is None:
        return f"over {MAX_RUNS:,} more runs"
    return counted(count, "more run")


def tolerance(variant: str) -> float:
    """Percentage points within which two accuracies on this copy of a dataset are the same."""
    return POINTS_ON_COPY if variant.endswith("JPEG copy") else POINTS


def by_recipe(results_dir: Path) -> dict[str, list[RecipeResult]]:
    """The documents of every recipe whose settings are still those of the document."""
    found: dict[str, list[RecipeResult]] = {}
    for document in load_results(results_dir, RecipeResult):
        recipe = RECIPES.get(document.recipe)
        if recipe is not None and recipe.has_settings(document.settings):
            found.setdefault(recipe.name, []).append(document)
    return found


def runs_required(recipe: Recipe, documents: Mapping[str, Iterable[RecipeResult]]) -> int:
    """How many runs a verdict takes at least: fewer where one is known to take long on two cores.

    Half of the processor's time, with that of frozen features, is the least that a run takes on two cores. Recipes with
    the same architecture, dataset and epochs take as long.
    """
    if recipe.name in _UNSTEADY:
        return RUNS_IF_UNSTEADY
    seconds = [
        (run.cpu_seconds + run.threads * (run.feature_seconds or 0.0)) / document.environment.cores
        for name, found in documents.items()
        if _work(RECIPES[name]) == _work(recipe)
        for document in found
        if document.environment.gpu is None and document.environment.cores == 2
        for run in document.runs
    ]
    return RUNS if max(seconds, default=0.0) >= SHORT_SECONDS else RUNS_IF_SHORT


def _work(recipe: Recipe) -> tuple[str, str, int, int | None]:
    return recipe.architecture, recipe.data.dataset, recipe.stopping.epochs, recipe.stopping.max_steps


def row_verdict(recipe: Recipe, values: Sequence[float], variant: str) -> RowVerdict | None:
    """Compare the mean of `values`, fractions, with the reported one; None if none was reported.

    It holds if the mean is shown to be within the tolerance, by two one-sided tests. Runs that never learnt count
    as runs, but not towards the mean.
    """
    reported = recipe.reported.get(headline(recipe))
    if reported is None:
        return None
    points, used = tolerance(variant), [100 * value for value in learnt(recipe, values)]
    least = RUNS_IF_UNSTEADY if recipe.name in _UNSTEADY else RUNS
    missing = max(least - len(values), 2 - len(used))
    if missing > 0:
        return RowVerdict(UNKNOWN, missing)
    band = Band(100 * reported - points, 100 * reported + points, equivalence=True)
    mean = estimate_mean(used)
    if p_inside([mean], band) < SIGNIFICANT:
        return RowVerdict(HOLDS)
    if p_outside([mean], band) < SIGNIFICANT:
        return RowVerdict(ABOVE if mean.value > band.high else FALLS_SHORT)
    needed = runs_needed(mean.value, [statistics.variance(used)], band, least=least)
    return RowVerdict(UNKNOWN, None if needed is None else max(1, needed - len(used)))


def below_report(recipe: Recipe, values: Sequence[float], variant: str) -> bool:
    """Whether the mean lies below the reported value by more than the tolerance, shown or not."""
    reported = recipe.reported.get(headline(recipe))
    if reported is None or not values:
        return False
    return 100 * (statistics.fmean(values) - reported) < -tolerance(variant)
