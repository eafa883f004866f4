"""Estimates with their uncertainty, and tests of whether a value lies in a band."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vision_zoo.core.statistics import SIGNIFICANT, Interval

MAX_RUNS = 1000
"""More runs than this are not worth a number."""
_REPLICATES = 10_000


@dataclass(frozen=True)
class Band:
    """The values from `low` to `high`.

    For an `equivalence` both ends are margins, and each is tested on one side (TOST): the interval that has to lie in
    the band has a confidence of 90 %. Otherwise it has 95 %.
    """

    low: float = -math.inf
    high: float = math.inf
    equivalence: bool = False

    @property
    def confidence(self) -> float:
        """Of the interval that decides."""
        return 1 - SIGNIFICANT * (2 if self.equivalence else 1)

    def distance(self, value: float) -> float:
        """From `value` to the nearest end."""
        return min(abs(value - self.low), abs(value - self.high))


class Uncertain(Protocol):
    """An estimated value."""

    @property
    def value(self) -> float:
        """The estimate itself."""

    def interval(self, confidence: float) -> Interval:
        """Its two-sided confidence interval."""

    def p_above(self, edge: float) -> float:
        """The one-sided p-value of its being above `edge`."""

    def p_below(self, edge: float) -> float:
        """The one-sided p-value of its being below `edge`."""


@dataclass(frozen=True)
class Estimate:
    """A value whose error has Student's distribution: standard error and degrees of freedom."""

    value: float
    error: float
    freedom: float

    def interval(self, confidence: float) -> Interval:
        """Student's interval."""
        from scipy.special import stdtrit

        reach = float(stdtrit(self.freedom, (1 + confidence) / 2)) * self.error
        return Interval(self.value - reach, self.value + reach)

    def p_above(self, edge: float) -> float:
        """Of Student's test against `edge`."""
        from scipy.special import stdtr

        if self.error == 0.0 or math.isinf(edge):
            return 0.0 if self.value > edge else 1.0
        return float(stdtr(self.freedom, (edge - self.value) / self.error))

    def p_below(self, edge: float) -> float:
        """Of Student's test against `edge`."""
        return Estimate(-self.value, self.error, self.freedom).p_above(-edge)


@dataclass(frozen=True, eq=False)
class Bootstrapped:
    """A value and what it is in every resampling."""

    value: float
    replicates: NDArray[np.float64]

    def interval(self, confidence: float) -> Interval:
        """The percentile interval."""
        low, high = np.quantile(self.replicates, [(1 - confidence) / 2, (1 + confidence) / 2])
        return Interval(float(low), float(high))

    def p_above(self, edge: float) -> float:
        """The fraction of resamplings that are not above `edge`."""
        return float((self.replicates <= edge).mean())

    def p_below(self, edge: float) -> float:
        """The fraction of resamplings that are not below `edge`."""
        return float((self.replicates >= edge).mean())


def estimate_mean(values: Sequence[float]) -> Estimate:
    """The mean of at least two independent values."""
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Estimate(float(np.mean(values)), error, len(values) - 1)


def estimate_difference(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """Mean of `first` minus mean of `second`, at least two values each, with Welch's degrees of freedom."""
    one, other = estimate_mean(first), estimate_mean(second)
    squares = one.error**2 + other.error**2
    below = one.error**4 / one.freedom + other.error**4 / other.freedom
    freedom = squares**2 / below if below else one.freedom + other.freedom
    return Estimate(one.value - other.value, math.sqrt(squares), freedom)


def estimate_over_images(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Bootstrapped:
    """Accuracy of `first` minus that of `second`, both `[runs, images]`, with the images resampled.

    The runs stay the same: this is what another sample of test images may change. The random numbers are always the
    same.
    """
    differences = first.mean(axis=0) - second.mean(axis=0)
    values, counts = np.unique(differences.round(12), return_counts=True)
    drawn = np.random.default_rng(0).multinomial(
        len(differences), counts / len(differences), size=_REPLICATES
    )
    return Bootstrapped(float(differences.mean()), drawn @ values / len(differences))


def rate_interval(count: int, trials: int, *, confidence: float = 1 - SIGNIFICANT) -> Interval:
    """Clopper and Pearson's exact interval of a probability, after `count` of at least one trial."""
    from scipy.special import betaincinv

    tail = (1 - confidence) / 2
    low = betaincinv(count, trials - count + 1, tail) if count else 0.0
    high = betaincinv(count + 1, trials - count, 1 - tail) if count < trials else 1.0
    return Interval(float(low), float(high))


def p_inside(estimates: Sequence[Uncertain], band: Band) -> float:
    """The p-value of a value's being in `band`; below `SIGNIFICANT` if the interval of every estimate lies in it."""
    return max(
        _scaled(max(estimate.p_above(band.low), estimate.p_below(band.high)), band) for estimate in estimates
    )


def p_outside(estimates: Sequence[Uncertain], band: Band) -> float:
    """The p-value of a value's being out of `band`; below `SIGNIFICANT` if every interval lies on that side of it."""
    below = max(_scaled(estimate.p_below(band.low), band) for estimate in estimates)
    above = max(_scaled(estimate.p_above(band.high), band) for estimate in estimates)
    return min(below, above)


def runs_needed(value: float, variances: Sequence[float], band: Band, *, least: int) -> int | None:
    """With how many runs a side the interval would leave the ends of `band`, if `value` and `variances` stay.

    `variances` are those of single runs, one for each side. At least `least`; None if more than `MAX_RUNS`.
    """
    from scipy.special import stdtrit

    runs = np.arange(max(2, least), MAX_RUNS + 1)
    total, squares = sum(variances), sum(variance**2 for variance in variances)
    freedom = (runs - 1) * (total**2 / squares if squares else 1.0)
    reaches = stdtrit(freedom, (1 + band.confidence) / 2) * np.sqrt(total / runs)
    enough = runs[reaches < band.distance(value)]
    return int(enough[0]) if len(enough) else None


def _scaled(p_value: float, band: Band) -> float:
    """So that the interval with the band's confidence and `SIGNIFICANT` decide the same."""
    return min(1.0, 2 * SIGNIFICANT * p_value / (1 - band.confidence))
