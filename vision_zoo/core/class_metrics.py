"""Metrics of single classes: precision, recall and F1; and top-k accuracy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOP = 5
"""The k of top-k accuracy, which is given where there are more classes than that."""
_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassMetrics:
    """Precision, recall and F1 of a class as fractions, and `support`, the number of its images.

    Precision is None where the class was never predicted, recall where it has no images, F1 where both hold.
    """

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


def class_metrics(matrix: NDArray[np.int64], labels: Sequence[str]) -> tuple[ClassMetrics, ...]:
    """The metrics of every class from a confusion matrix `[classes, classes]`: rows true, columns predicted."""
    correct, support, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    return tuple(
        ClassMetrics(
            label=label,
            precision=_fraction(right, among_predicted),
            recall=_fraction(right, among_true),
            f1=_fraction(2 * right, among_predicted + among_true),
            support=among_true,
        )
        for label, right, among_true, among_predicted in zip(
            labels, correct.tolist(), support.tolist(), predicted.tolist(), strict=True
        )
    )


def top_accuracy(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> float | None:
    """The fraction of images whose label is among the `TOP` largest `scores` `[n, classes]`; None for few classes."""
    if scores.shape[1] <= TOP:
        return None
    best = (-scores).argsort(axis=1, kind="stable")[:, :TOP]
    return float((best == np.asarray(labels)[:, None]).any(axis=1).mean())


def class_table(classes: Sequence[ClassMetrics]) -> list[dict[str, Any]]:
    """Rows to print: all classes and their mean, or those of lowest F1 where there are many."""
    shown = sorted(classes, key=_f1)[:_SHOWN] if len(classes) > _SHOWN else classes
    rows = [
        {"class": one.label, **{name: _percent(getattr(one, name)) for name in _FRACTIONS}}
        | {"images": one.support}
        for one in shown
    ]
    return [*rows, _mean(classes)]


_FRACTIONS = ("precision", "recall", "f1")


def class_heading(classes: Sequence[ClassMetrics]) -> str:
    """What `class_table` shows, in words."""
    return (
        f"The {_SHOWN} classes with the lowest F1, of {len(classes):,}"
        if len(classes) > _SHOWN
        else "Classes"
    )


def _mean(classes: Sequence[ClassMetrics]) -> dict[str, Any]:
    means = {}
    for name in _FRACTIONS:
        known = [value for one in classes if (value := getattr(one, name)) is not None]
        means[name] = _percent(sum(known) / len(known)) if known else None
    return {"class": "(mean)", **means, "images": sum(one.support for one in classes)}


def _f1(one: ClassMetrics) -> float:
    return 2.0 if one.f1 is None else one.f1


def _percent(fraction: float | None) -> str | None:
    return None if fraction is None else f"{fraction:.1%}"


def _fraction(part: int, whole: int) -> float | None:
    return part / whole if whole else None
