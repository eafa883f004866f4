"""Latency of a function, measured so that the figure can be repeated.

Every arm is warmed up, then all arms of a comparison are called in turns of a short slice each, so
that a machine that slows down slows all of them. Every call is timed from outside, and no percentile
is given that the sample cannot carry.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision_zoo.errors import UsageError
from vision_zoo.progress import Progress

PERCENTILES = (50, 90, 99)
_SLICE_SECONDS = 0.1
_WARM_UP_CALLS = 10
_WARM_UP_SECONDS = 0.3
_TAIL_SAMPLES = 10
"""How many calls must lie beyond a percentile before it is given: 1,000 calls for the 99th."""


@dataclass(frozen=True)
class Latency:
    """Of one arm: calls timed, milliseconds by percentile (None where there were too few), images a second."""

    calls: int
    milliseconds: Mapping[int, float | None]
    images_per_second: float


def measure(
    arms: Mapping[str, Callable[[], object]], *, batch_size: int, seconds: float, progress: Progress
) -> dict[str, Latency]:
    """Time every arm for `seconds` in turns; each call handles `batch_size` images.

    Raises:
        UsageError: `seconds` is not above 0.
    """
    if not seconds > 0:
        raise UsageError(f"duration {seconds} is out of range; expected more than 0 seconds")
    for call in arms.values():
        _warm_up(call)
    samples: dict[str, list[int]] = {name: [] for name in arms}
    spent = dict.fromkeys(arms, 0)
    progress.start(f"batch {batch_size}", len(arms) * round(seconds * 10))
    while min(spent.values()) < seconds * 1e9:
        for name, call in arms.items():
            taken = _time_slice(call, samples[name])
            spent[name] += taken
            progress.advance(max(1, round(taken / 1e8)))
    return {name: _summary(np.asarray(taken), batch_size) for name, taken in samples.items()}


def _warm_up(call: Callable[[], object]) -> None:
    deadline = time.perf_counter() + _WARM_UP_SECONDS
    calls = 0
    while calls < _WARM_UP_CALLS or time.perf_counter() < deadline:
        call()
        calls += 1


def _time_slice(call: Callable[[], object], samples: list[int]) -> int:
    # The first calls after a change of arm find the other arm's data in the caches: not counted.
    call()
    clock = time.perf_counter_ns
    begun = clock()
    while True:
        started = clock()
        call()
        ended = clock()
        samples.append(ended - started)
        if ended - begun >= _SLICE_SECONDS * 1e9:
            return ended - begun


def _summary(nanoseconds: NDArray[np.int64], batch_size: int) -> Latency:
    calls = len(nanoseconds)
    milliseconds = {
        percentile: float(np.percentile(nanoseconds, percentile)) / 1e6
        if percentile == 50 or calls * (100 - percentile) >= _TAIL_SAMPLES * 100
        else None
        for percentile in PERCENTILES
    }
    return Latency(calls, milliseconds, float(batch_size * calls / (nanoseconds.sum() / 1e9)))
