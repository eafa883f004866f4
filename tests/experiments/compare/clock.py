"""Comparisons that do not depend on the machine's speed, and spend no second on latency."""

import functools

import pytest

from vision_zoo.experiments import compare
from vision_zoo.experiments.compare import candidates, measure


class Ticking:
    """Every look takes `seconds`: a budget is so many looks, whatever the machine does."""

    def __init__(self, seconds: float = 0.05) -> None:
        self._looks, self._seconds = 0, seconds

    def __call__(self) -> float:
        self._looks += 1
        return self._seconds * self._looks


def compare_by_looks(patch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let `compare` have a clock that goes on by `seconds` at a look, and time models for an instant."""
    patch.setattr(compare, "compare", functools.partial(compare.compare, clock=Ticking(seconds)))
    patch.setattr(measure, "_SHORTEST", 0.05)
    patch.setattr(candidates, "_TIMED_SECONDS", 0.05)
