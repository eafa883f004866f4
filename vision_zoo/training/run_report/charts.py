"""Charts of a run's report, laid out for SVG: loss and accuracy over epochs, and the reliability diagram.

Lengths are those of the view box.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vision_zoo.core.results import EpochRecord
from vision_zoo.core.statistics import calibration_bins
from vision_zoo.core.tables import text_of

WIDTH, HEIGHT = 360, 240
LEFT, TOP, RIGHT, BOTTOM = 46, 12, WIDTH - 12, HEIGHT - 40
SPLITS = ("train", "validation", "test")
_MOST_DOTS = 40
_MOST_TICKS = 6


class Dot(NamedTuple):
    """A point, and what to say of it."""

    x: float
    y: float
    text: str


class Bar(NamedTuple):
    """A bar from the bottom of the chart up to `top`, and what to say of it."""

    left: float
    right: float
    top: float
    text: str


@dataclass(frozen=True)
class Line:
    """A split's line as SVG's `points`; dots only where there is room for them."""

    split: str
    points: str
    dots: Sequence[Dot]


@dataclass(frozen=True)
class Chart:
    """Lines or bars over an x axis. Ticks are places and texts."""

    title: str
    x_title: str
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    lines: Sequence[Line] = ()
    bars: Sequence[Bar] = ()


def curves(history: Sequence[EpochRecord]) -> list[Chart]:
    """Loss and accuracy over the epochs of `history`, a line for each split that was scored after epochs."""
    return [_curve(history, "Loss", text_of), _curve(history, "Accuracy", "{:.1%}".format)]


def _curve(history: Sequence[EpochRecord], title: str, shown: Callable[[float], str]) -> Chart:
    measured = {
        split: [(one.epoch, value) for one in history if (value := _measure(one, split, title)) is not None]
        for split in SPLITS
    }
    values = [value for points in measured.values() for _, value in points if math.isfinite(value)] or [0.0]
    room = 0.06 * (max(values) - min(values)) or 0.05
    low, high = min(values) - room, max(values) + room
    if title == "Accuracy":
        low, high = max(low, 0.0), min(high, 1.0)
    to_x = _scale(history[0].epoch - 0.5, history[-1].epoch + 0.5, LEFT, RIGHT)
    to_y = _scale(low, high, BOTTOM, TOP)
    lines = []
    for split, points in measured.items():
        placed = [
            Dot(to_x(epoch), to_y(value), f"{split}, epoch {epoch}: {shown(value)}")
            for epoch, value in points
            if math.isfinite(value)
        ]
        if placed:
            joined = " ".join(f"{dot.x:.1f},{dot.y:.1f}" for dot in placed)
            lines.append(Line(split, joined, placed if len(placed) <= _MOST_DOTS else ()))
    ticks = _ticks(low, high)
    digits = 0 if len(ticks) < 2 or ticks[1] - ticks[0] >= 0.01 - 1e-9 else 1
    y_ticks = [(to_y(tick), f"{tick:.{digits}%}" if title == "Accuracy" else f"{tick:.4g}") for tick in ticks]
    epochs = [tick for tick in _ticks(history[0].epoch, history[-1].epoch) if tick == round(tick)]
    return Chart(title, "epoch", [(to_x(tick), f"{tick:.0f}") for tick in epochs], y_ticks, lines)


def _measure(record: EpochRecord, split: str, title: str) -> float | None:
    value: float | None = getattr(record, f"{split}_{title.lower()}")
    return value


def reliability(confidences: NDArray[np.float64], right: NDArray[np.bool_]) -> Chart:
    """Accuracy by confidence `[images]`, in bins of equal width."""
    counts, confidence_sums, right_sums = calibration_bins(confidences, right)
    to_x, to_y = _scale(0, 1, LEFT, RIGHT), _scale(0, 1, BOTTOM, TOP)
    ticks = [0, 0.2, 0.4, 0.6, 0.8, 1]
    return Chart(
        "Reliability diagram",
        "probability of the predicted class",
        [(to_x(tick), f"{tick:.0%}") for tick in ticks],
        [(to_y(tick), f"{tick:.0%}") for tick in ticks],
        bars=[
            Bar(
                to_x(number / len(counts)),
                to_x((number + 1) / len(counts)),
                to_y(right_sums[number] / count),
                f"{count:,} images with a mean probability of {confidence_sums[number] / count:.1%}, "
                f"{right_sums[number] / count:.1%} of them correct",
            )
            for number, count in enumerate(counts.tolist())
            if count
        ],
    )


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _ticks(low: float, high: float) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten, at most six."""
    if low == high:
        return [low]
    power = math.floor(math.log10((high - low) / _MOST_TICKS))
    for step in (digit * 10.0**exponent for exponent in (power, power + 1) for digit in (1, 2, 5)):
        numbers = range(math.ceil(low / step), math.floor(high / step) + 1)
        if len(numbers) <= _MOST_TICKS:
            break
    return [number * step for number in numbers]
