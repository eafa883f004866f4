"""Measurements and comparisons as evidence for a claim."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_zoo.core.results import RecipeResult, SeedResult, ZooResult, load_results, result_path
from vision_zoo.core.statistics import SIGNIFICANT, Paired, holm, mcnemar, mean_difference_p_value
from vision_zoo.experiments.predictions import Predictions, predictions_path, read_predictions
from vision_zoo.recipes import RECIPES
from vision_zoo.recipes.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Measured:
    """A recipe's runs in one environment. Accuracies are fractions of the test split, by seed."""

    recipe: Recipe
    environment: str
    parameters: int
    accuracies: Mapping[int, float]
    train_seconds: float | None
    """None where several runs shared a device."""
    runs: Sequence[SeedResult]
    predictions: Predictions | None
    latency_ms: float | None
    """p50 of one image through the exported file of its architecture and dataset, where one is shipped."""

    @property
    def mean(self) -> float:
        """Test accuracy over the seeds."""
        return statistics.fmean(self.accuracies.values())


@dataclass(frozen=True, eq=False)
class Comparison:
    """`first` against `second`: the difference of the mean accuracies, over seeds and over test images.

    `seeds_p` is of Welch's test over the seeds, None if one has a single run. `images` is McNemar's test of the
    two runs with seed 0 on the same test images, `images_p` its p-value corrected for the claim's other comparisons.
    """

    first: Measured
    second: Measured
    seeds_p: float | None
    images: Paired | None
    images_p: float | None

    @property
    def points(self) -> float:
        """By how many percentage points the first one's mean is above the second's."""
        return 100 * (self.first.mean - self.second.mean)

    @property
    def shown(self) -> bool:
        """Whether the measurements show a difference: over seeds where both have several, and over images.

        One run of each tells of these two runs only, not of their recipes.
        """
        known = [p for p in (self.seeds_p, self.images_p) if p is not None]
        return bool(known) and all(p < SIGNIFICANT for p in known)

    @property
    def one_run_each(self) -> bool:
        """Whether nothing is known of other seeds."""
        return self.seeds_p is None


def gather(results_dir: Path) -> dict[str, Measured]:
    """By recipe: what was measured in the environment with the most runs of it."""
    latencies = _latencies(results_dir)
    found: dict[str, Measured] = {}
    for document in load_results(results_dir, RecipeResult):
        recipe = RECIPES.get(document.recipe)
        if recipe is None or not recipe.has_settings(document.settings) or not document.runs:
            continue
        known = found.get(recipe.name)
        if known is not None and len(known.accuracies) >= len(document.runs):
            continue
        place = result_path(results_dir, document.environment, recipe.name)
        found[recipe.name] = Measured(
            recipe,
            document.environment.folder_name,
            document.parameters or 0,
            {run.seed: run.test_accuracy for run in document.runs},
            statistics.fmean(run.all_train_seconds for run in document.runs)
            if document.runs_at_once is None
            else None,
            document.runs,
            read_predictions(predictions_path(place)),
            latencies.get((recipe.architecture, recipe.data.dataset)),
        )
    return found


def _latencies(results_dir: Path) -> dict[tuple[str, str], float | None]:
    found = {}
    for document in load_results(results_dir, ZooResult):
        rows = document.rows_of_one_image()
        for entry in document.models:
            found[entry.architecture, entry.dataset] = rows[entry.model].p50_ms
    return found


def compare(pairs: list[tuple[Measured, Measured]]) -> list[Comparison]:
    """Every pair, the tests over images corrected for their number."""
    tests = [_paired(first, second) for first, second in pairs]
    corrected = iter(holm([test.p_value for test in tests if test is not None]))
    return [
        Comparison(
            first,
            second,
            mean_difference_p_value(list(first.accuracies.values()), list(second.accuracies.values())),
            test,
            None if test is None else next(corrected),
        )
        for (first, second), test in zip(pairs, tests, strict=True)
    ]


def _paired(first: Measured, second: Measured) -> Paired | None:
    one, other = first.predictions, second.predictions
    if one is None or other is None or len(one.labels) != len(other.labels):
        return None
    if 0 not in one.by_seed or 0 not in other.by_seed or (one.labels != other.labels).any():
        return None
    return mcnemar(one.right(0), other.right(0))
