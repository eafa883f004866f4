"""Notes on a row: how the report was interpreted, and what may explain a gap."""

import statistics
from collections.abc import Mapping

from vision_zoo.core.statistics import CONFIDENCE, prediction_interval
from vision_zoo.experiments.report.figures import collapse, first_reaching, headline, spread
from vision_zoo.experiments.report.pooled import Pooled
from vision_zoo.experiments.report.verdicts import below_report
from vision_zoo.recipes import RECIPES
from vision_zoo.recipes.recipe import Recipe


def notes(recipe: Recipe, results: Mapping[str, Pooled]) -> list[str]:
    """Sentences in Markdown below the table of a report."""
    found = [recipe.remark] if recipe.remark else []
    own = results.get(recipe.name)
    if own is not None and own.runs:
        found += [text] if (text := _seeds(recipe, own)) else []
        found += [
            f"Seed {run.seed} was run in {document.environment.folder_name}, too "
            f"({value:.2%}); that run does not count."
            for document, run in own.repeated
            if (value := getattr(run, headline(recipe))) is not None
        ]
        found += [
            _companion(recipe, companion, own, results[companion.name])
            for companion in RECIPES.values()
            if companion.companion_of == recipe.name
            and companion.name in results
            and results[companion.name].runs
        ]
    return [f"`{recipe.name}`: {text}" for text in found]


def _seeds(recipe: Recipe, own: Pooled) -> str | None:
    """Whether the choice of seed may explain the gap; None if nothing falls short, or there is only one run.

    If some runs stayed at chance level, there is no interval: the runs form two groups.
    """
    measure = headline(recipe)
    values = own.values(measure)
    lost = collapse(recipe, values)
    if lost is not None:
        return lost
    if not below_report(recipe, values, own.main.data.variant):
        return None
    interval = prediction_interval(values)
    if interval is None:
        return None
    interval = interval.clipped()
    where = "inside" if recipe.reported[measure] <= interval.high else "above it"
    return (
        f"Another run is expected between {interval.low:.2%} and {interval.high:.2%} "
        f"({CONFIDENCE:.0%} prediction interval of {len(values)} runs); the report's single run lies {where}."
    )


def _companion(recipe: Recipe, companion: Recipe, own: Pooled, other: Pooled) -> str:
    measure = headline(recipe)
    values, others = own.values(measure), other.values(measure)
    points = 100 * (statistics.fmean(others) - statistics.fmean(values))
    text = f"`{companion.name}` reaches {spread(others)}: {points:+.2f} points from the mean above."
    if below_report(recipe, values, own.main.data.variant) and measure == "test_accuracy":
        text += f" {_crossing(recipe.reported[measure], other)}"
    return text


def _crossing(reported: float, other: Pooled) -> str:
    """When a run's test curve first reaches the reported accuracy."""
    reached = [first_reaching(run, reported) for run in other.runs]
    steps = sorted(record.steps for record in reached if record is not None)
    if not steps:
        return f"No run's test curve reaches the reported {reported:.2%}."
    after = f"{steps[0]:,}" if steps[0] == steps[-1] else f"{steps[0]:,} to {steps[-1]:,}"
    return (
        f"The test curve reaches the reported {reported:.2%} in {len(steps)} of {len(reached)} runs, "
        f"after {after} steps."
    )
