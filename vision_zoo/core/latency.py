"""Summaries of timed calls: percentiles with enough samples in the tail, and stability."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)
WINDOWS = 3
STEADY_WITHIN = 0.10
"""How far the median of a window may be from the median of all calls, as a fraction of it."""

_TAIL_SAMPLES = 10
"""How many calls must lie beyond a percentile before it is given: 1,000 calls for the 99th."""
_SMALLEST_WINDOW = 5


@dataclass(frozen=True, eq=False)
class Latency:
    """Latency of one runner in one scenario.

    Args:
        calls: number of timed calls.
        errors: calls that raised; they have no latency.
        milliseconds: by percentile; None if there were too few calls.
        max_ms: the slowest call.
        images_per_second: images of all calls over the seconds that they took.
        steady: three consecutive windows agree within 10 % in their medians; None if there were too few calls.
        nanoseconds: of every call in order, int64 `[calls]`.
    """

    calls: int
    errors: int
    milliseconds: Mapping[float, float | None]
    max_ms: float | None
    images_per_second: float
    steady: bool | None
    nanoseconds: NDArray[np.int64]


def summarise(
    nanoseconds: NDArray[np.int64], *, batch_size: int, seconds: float | None = None, errors: int = 0
) -> Latency:
    """Summarise calls of `batch_size` images each that took `seconds` of wall time, by default one after the other."""
    calls = len(nanoseconds)
    took = float(nanoseconds.sum()) / 1e9 if seconds is None else seconds
    return Latency(
        calls=calls,
        errors=errors,
        milliseconds={percentile: _percentile(nanoseconds, percentile) for percentile in PERCENTILES},
        max_ms=float(nanoseconds.max()) / 1e6 if calls else None,
        images_per_second=batch_size * calls / took if took > 0 else 0.0,
        steady=_steady(nanoseconds),
        nanoseconds=nanoseconds,
    )


def percentile_name(percentile: float) -> str:
    """`p99_9_ms` for 99.9: a column's name."""
    return f"p{percentile:g}_ms".replace(".", "_")


def _percentile(nanoseconds: NDArray[np.int64], percentile: float) -> float | None:
    calls = len(nanoseconds)
    if not calls or (percentile > 50 and calls * (100 - percentile) < _TAIL_SAMPLES * 100 - 1e-6):
        return None
    return float(np.percentile(nanoseconds, percentile)) / 1e6


def _steady(nanoseconds: NDArray[np.int64]) -> bool | None:
    if len(nanoseconds) < WINDOWS * _SMALLEST_WINDOW:
        return None
    medians = [float(np.median(window)) for window in np.array_split(nanoseconds, WINDOWS)]
    overall = float(np.median(nanoseconds))
    return all(abs(median - overall) <= STEADY_WITHIN * overall for median in medians)
