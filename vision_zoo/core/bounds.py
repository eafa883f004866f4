"""Bounds of numbers given by the user."""

from collections.abc import Sequence
from typing import TypeVar

from vision_zoo.core.errors import UsageError

Choice = TypeVar("Choice", bound=str)

MAX_SEEDS = 1000
MAX_JOBS = 1024
"""Processes that train at a time."""


def require_choice(what: str, value: str, choices: Sequence[Choice]) -> Choice:
    """`value` as one of `choices`; UsageError, which calls it `what`, if it is none."""
    for choice in choices:
        if value == choice:
            return choice
    raise UsageError(f"unknown {what} {value!r}; expected one of {', '.join(choices)}")


def require_between(name: str, value: float, low: float, high: float, *, above: bool = False) -> None:
    """Raise UsageError for a `value` outside `low` to `high`, or `low` itself with `above`; NaN is always outside."""
    if (low < value if above else low <= value) and value <= high:
        return
    expected = f"more than {low:,}, at most {high:,}" if above else f"{low:,} to {high:,}"
    raise UsageError(f"{name} {value} is out of range; expected {expected}")
