"""Confidence intervals, tests of significance, the Pareto front, and confusion matrices.

The distributions are those of scipy.special: to import scipy.stats takes a second.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Interval:
    """From `low` to `high`, both fractions; Student's may reach beyond what a fraction can be."""

    low: float
    high: float

    def clipped(self) -> "Interval":
        """The part from 0 to 1."""
        return Interval(max(0.0, self.low), min(1.0, self.high))


@dataclass(frozen=True)
class Paired:
    """Two models on the same images.

    `only_first` and `only_second` are the images that one alone got right; `p_value` is the probability of a split at
    least as uneven if neither were better.
    """

    only_first: int
    only_second: int
    p_value: float


def accuracy_interval(right: int, images: int) -> Interval:
    """Wilson's score interval of an accuracy of `right` out of `images`, of which there is at least one."""
    squared = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) ** 2
    middle = right + squared / 2
    reach = math.sqrt(squared * (right * (images - right) / images + squared / 4))
    ends = [(middle + sign * reach) / (images + squared) for sign in (-1, 1)]
    return Interval(0.0 if right == 0 else ends[0], 1.0 if right == images else ends[1])


def mean_interval(values: Sequence[float]) -> Interval | None:
    """Student's interval of the mean of runs that differ in their seed; None for fewer than two."""
    from scipy.special import stdtrit

    if len(values) < 2:
        return None
    mean = float(np.mean(values))
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    reach = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2)) * error
    return Interval(mean - reach, mean + reach)


def prediction_interval(values: Sequence[float]) -> Interval | None:
    """Student's interval of one further run; None for fewer than two values."""
    mean = mean_interval(values)
    if mean is None:
        return None
    middle, reach = (mean.low + mean.high) / 2, (mean.high - mean.low) / 2 * math.sqrt(len(values) + 1)
    return Interval(middle - reach, middle + reach)


def mcnemar(first_right: NDArray[np.bool_], second_right: NDArray[np.bool_]) -> Paired:
    """McNemar's exact test on the same images `[images]`, in the same order; ValueError if their numbers differ."""
    from scipy.special import bdtr

    if first_right.shape != second_right.shape:
        raise ValueError(f"{first_right.shape} and {second_right.shape} are not the same images")
    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    disagreed = only_first + only_second
    p_value = min(1.0, 2 * float(bdtr(min(only_first, only_second), disagreed, 0.5)))
    return Paired(only_first, only_second, p_value)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of several comparisons, corrected for their number after Holm, in the same order."""
    count = len(p_values)
    corrected = [0.0] * count
    highest = 0.0
    for rank, index in enumerate(sorted(range(count), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (count - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


def shown_p_value(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


_CALIBRATION_BINS = 15


def calibration_error(confidences: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Expected calibration error (Guo et al. 2017): confidence minus accuracy, averaged over 15 bins of equal width.

    `confidences` `[images]` are the probabilities of the predicted classes.
    """
    counts, confidence_sums, right_sums = calibration_bins(confidences, right)
    return float(np.abs(confidence_sums - right_sums).sum() / max(1, counts.sum()))


def calibration_bins(
    confidences: NDArray[np.float64], right: NDArray[np.bool_]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """For 15 bins of confidence of equal width: the images, the sum of their confidences, and how many are right."""
    places = np.minimum((confidences * _CALIBRATION_BINS).astype(int), _CALIBRATION_BINS - 1)
    return (
        np.bincount(places, minlength=_CALIBRATION_BINS),
        np.bincount(places, weights=confidences, minlength=_CALIBRATION_BINS),
        np.bincount(places, weights=right.astype(np.float64), minlength=_CALIBRATION_BINS),
    )


def accuracy_by_class(
    labels: NDArray[np.int64], right: NDArray[np.bool_], *, classes: int
) -> NDArray[np.float64]:
    """The accuracy of each class, `[classes]`; NaN for a class without images."""
    counts = np.bincount(labels, minlength=classes)
    hits = np.bincount(labels, weights=right.astype(np.float64), minlength=classes)
    with np.errstate(invalid="ignore"):
        shares: NDArray[np.float64] = hits / counts
    return shares


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """The indices of the points (cost, value) that no other point beats in both, by rising cost."""
    front: list[int] = []
    best = -math.inf
    for index in sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1])):
        if points[index][1] > best:
            front.append(index)
            best = points[index][1]
    return front


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """The probabilities `[n, classes]` of logits `[n, classes]`, in double precision."""
    values = logits.astype(np.float64)
    exponentials = np.exp(values - values.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities


def confusion_matrix(
    labels: NDArray[np.int64], predictions: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """`[classes, classes]` counts: rows are true classes, columns predicted ones."""
    counts = np.bincount(labels * classes + predictions, minlength=classes * classes)
    return counts.reshape(classes, classes)
