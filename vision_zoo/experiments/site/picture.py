"""Accuracy against a cost, one panel a dataset, laid out for an SVG template. Lengths are those of the view box."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vision_zoo.core.statistics import pareto_front
from vision_zoo.core.tables import text_of

WIDTH, HEIGHT = 360, 250
LEFT, TOP, RIGHT, BOTTOM = 46, 14, WIDTH - 12, HEIGHT - 42
_LETTER, _LINE = 6.8, 12
_RADIUS = 5
_LONGEST_LABEL = 26


class Value(NamedTuple):
    """A model: the address of its page, what to call it, its cost and its accuracy, a fraction."""

    address: str
    name: str
    label: str
    cost: float
    accuracy: float


class _Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "_Box") -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    @property
    def is_inside(self) -> bool:
        return self.left >= LEFT and self.right <= WIDTH and self.top >= 0 and self.bottom <= BOTTOM


@dataclass(frozen=True)
class Label:
    """A text at a point; `anchor` is SVG's `text-anchor`."""

    text: str
    x: float
    y: float
    anchor: str


@dataclass(frozen=True)
class Mark:
    """A model's point; `label` is None where there is no room for one."""

    value: Value
    x: float
    y: float
    on_front: bool
    label: Label | None = field(default=None)


@dataclass(frozen=True)
class Panel:
    """The models of a dataset. Ticks are places and texts; `line` is the Pareto front as SVG's `points`."""

    title: str
    marks: Sequence[Mark]
    line: str
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]


def panel(title: str, values: Sequence[Value]) -> Panel:
    """The panel of at least one model; costs are above 0."""
    costs, accuracies = [value.cost for value in values], [value.accuracy for value in values]
    low, high = min(costs), max(costs)
    room = max(1.35, (high / low) ** 0.12)
    to_x = _scale(math.log(low / room), math.log(high * room), LEFT, RIGHT)
    margin = max(0.12 * (max(accuracies) - min(accuracies)), 0.004)
    bottom, top = min(accuracies) - margin, min(max(accuracies) + 1.6 * margin, 1.0 + margin / 2)
    to_y = _scale(bottom, top, BOTTOM, TOP)
    front = pareto_front([(value.cost, value.accuracy) for value in values])
    placed = [
        Mark(value, to_x(math.log(value.cost)), to_y(value.accuracy), index in front)
        for index, value in enumerate(values)
    ]
    return Panel(
        title,
        _labelled(placed),
        " ".join(f"{placed[index].x:.1f},{placed[index].y:.1f}" for index in front),
        [(to_x(math.log(tick)), text_of(tick)) for tick in _powers(low / room, high * room)],
        [(to_y(tick), text) for tick, text in _percentages(bottom, top)],
    )


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _powers(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten, or powers alone where those are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        ticks = [
            float(f"{digit}e{power}")
            for power in powers
            for digit in digits
            if low <= float(f"{digit}e{power}") <= high
        ]
        if len(ticks) <= 7:
            break
    return ticks


def _percentages(low: float, high: float) -> list[tuple[float, str]]:
    """At most six, at even distances."""
    for step in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2):
        numbers = range(math.ceil(low / step), min(math.floor(high / step), round(1 / step)) + 1)
        if len(numbers) <= 6:
            break
    return [(number * step, f"{number * step:.{1 if step < 0.01 else 0}%}") for number in numbers]


def _labelled(marks: Sequence[Mark]) -> list[Mark]:
    """With labels that meet neither each other nor a point; those on the front come first."""
    taken = [_Box(one.x - _RADIUS, one.y - _RADIUS, one.x + _RADIUS, one.y + _RADIUS) for one in marks]
    found: dict[int, Label] = {}
    for index in sorted(range(len(marks)), key=lambda index: not marks[index].on_front):
        for label, box in _places(marks[index]):
            if box.is_inside and not any(box.meets(other) for other in taken):
                found[index] = label
                taken.append(box)
                break
    return [Mark(one.value, one.x, one.y, one.on_front, found.get(index)) for index, one in enumerate(marks)]


def _places(mark: Mark) -> Iterable[tuple[Label, _Box]]:
    """Where a mark's label may stand, the best place first: nothing is above the front and to its left."""
    text = mark.value.label
    text = text if len(text) <= _LONGEST_LABEL else f"{text[: _LONGEST_LABEL - 1]}…"
    width, gap = _LETTER * len(text), _RADIUS + 4
    for anchor, dx, dy in (
        ("end", -gap, 4),
        ("end", -2, -gap),
        ("middle", 0, -gap),
        ("start", 2, -gap),
        ("start", gap, 4),
        ("middle", 0, gap + 8),
        ("start", 2, gap + 8),
        ("end", -2, gap + 8),
    ):
        x, y = mark.x + dx, mark.y + dy
        left = x - width * {"start": 0, "middle": 0.5, "end": 1}[anchor]
        yield Label(text, x, y, anchor), _Box(left, y - _LINE + 3, left + width, y + 3)
