"""Metrics of the runs of a recipe: mean, spread, and runs that never learnt."""

import statistics
from collections.abc import Sequence

from vision_zoo.core.estimates import rate_interval
from vision_zoo.core.results import EpochRecord, RecipeResult, SeedResult
from vision_zoo.core.statistics import CONFIDENCE
from vision_zoo.data import find_dataset
from vision_zoo.recipes.recipe import Recipe

_CHANCE = 1.5  # times the accuracy of always giving the same answer
_SECONDS = ("train_seconds", "inference_seconds")
_LARGE_COUNTS = ("parameters", "steps")
_LAST = "_last_epoch"


def headline(recipe: Recipe) -> str:
    """The measure that decides a recipe's verdict."""
    return (
        "test_accuracy"
        if "test_accuracy" in recipe.reported or not recipe.reported
        else "validation_accuracy"
    )


def learnt(recipe: Recipe, accuracies: Sequence[float]) -> list[float]:
    """Those accuracies that are above chance level."""
    classes = len(find_dataset(recipe.data.dataset).labels)
    return [value for value in accuracies if value * classes > _CHANCE]


def collapse(recipe: Recipe, accuracies: Sequence[float]) -> str | None:
    """A sentence on runs that stayed at chance level; None if there are none."""
    others = learnt(recipe, accuracies)
    lost = len(accuracies) - len(others)
    if not lost:
        return None
    rate = rate_interval(lost, len(accuracies))
    classes = len(find_dataset(recipe.data.dataset).labels)
    text = (
        f"{lost} of {len(accuracies)} runs stayed at chance level ({1 / classes:.0%}) and are excluded from the verdict; "
        f"the exact {CONFIDENCE:.0%} interval of their probability is {rate.low:.0%} to {rate.high:.0%}"
    )
    if not others:
        return f"{text}."
    named = ", ".join(f"{value:.2%}" for value in others)
    return f"{text}. The other{' reaches' if len(others) == 1 else 's reach'} {named}."


def formatted(measure: str, value: float) -> str:
    """Format a metric for the report."""
    if "accuracy" in measure:
        return f"{value:.2%}"
    if measure in _SECONDS:
        return f"{value:.2f}"
    if "loss" in measure:
        return f"{value:.3f}" if measure.endswith("_total") else f"{value:.4f}"
    return f"{value:,.0f}" if measure in _LARGE_COUNTS else f"{value:.3g}"


def values_of(document: RecipeResult, measure: str) -> list[float]:
    """The measure of every run that has it; those of an epoch are in the history."""
    if measure == "parameters":
        return [document.parameters or 0] * len(document.runs)
    name, _, epoch = measure.removesuffix("_in_abstract").partition("_epoch_")
    found: Sequence[SeedResult | EpochRecord] = document.runs
    if name.endswith(_LAST):
        name, found = name.removesuffix(_LAST), [run.history[-1] for run in document.runs if run.history]
    elif epoch:
        found = [record for run in document.runs for record in run.history if record.epoch == int(epoch)]
    return [value for one in found if (value := getattr(one, name, None)) is not None]


def first_reaching(run: SeedResult, accuracy: float) -> EpochRecord | None:
    """The record of the first epoch whose test accuracy is that high."""
    return next((record for record in run.history if (record.test_accuracy or 0.0) >= accuracy), None)


def spread(values: Sequence[float]) -> str:
    """Mean, standard deviation in points and range of fractions."""
    mean = f"{statistics.fmean(values):.2%}"
    if len(values) == 1:
        return mean
    low, high = min(values), max(values)
    return f"{mean} ± {100 * statistics.stdev(values):.2f} ({100 * low:.2f} to {100 * high:.2f})"
