"""Bounds of numbers given by the user."""

from typing import cast, get_args

from vision_zoo.core.choices import DeviceName
from vision_zoo.core.errors import UsageError

MAX_SEEDS = 1000
MAX_JOBS = 1024
"""Processes that train at a time."""


def device_name(name: str) -> DeviceName:
    """`name` if it is a device.

    Raises:
        UsageError: it is none.
    """
    if name not in get_args(DeviceName):
        raise UsageError(f"unknown device {name!r}; expected auto, cpu or cuda")
    return cast(DeviceName, name)


def require_between(name: str, value: float, low: float, high: float, *, above: bool = False) -> None:
    """Raise UsageError for a `value` outside `low` to `high`, or `low` itself with `above`; NaN is always outside."""
    if (low < value if above else low <= value) and value <= high:
        return
    expected = f"more than {low:,}, at most {high:,}" if above else f"{low:,} to {high:,}"
    raise UsageError(f"{name} {value} is out of range; expected {expected}")
