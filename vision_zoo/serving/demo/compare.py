"""The comparison of all models on the page: a table and a plot."""

import html
import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from vision_zoo.core import json_file
from vision_zoo.core.errors import RunError, VisionZooError
from vision_zoo.core.progress import SilentProgress
from vision_zoo.core.results import ZooResult, shipped_results
from vision_zoo.core.scenarios import single_stream
from vision_zoo.core.statistics import pareto_front
from vision_zoo.serving.session import Session

Row = dict[str, Any]

COLUMNS = ("model", "dataset", "accuracy %", "p50 ms", "p99 ms", "MiB", "parameters")
_SECONDS = 0.3


def shipped(sessions: Sequence[Session]) -> tuple[list[Row], str]:
    """The measurements of the shipped files and their hardware; no latency if there are none."""
    for path in sorted(shipped_results().glob("*/zoo.json")):
        with suppress(RunError):
            document = json_file.read(path, ZooResult)
            measured = document.rows_of_one_image()
            rows = [(session, measured.get(session.name)) for session in sessions]
            return [
                _row(session, None if row is None else row.p50_ms, None if row is None else row.p99_ms)
                for session, row in rows
            ], f"Measured on {document.environment.description}, one image at a time, one thread."
    return [_row(session, None, None) for session in sessions], "Not measured yet: press the button."


def measure(session: Session) -> Row | None:
    """Measure one model on this machine, one image at a time; None if it fails."""
    import numpy as np

    image = np.zeros((1, *session.metadata.input.shape), dtype=np.uint8)
    try:
        latency = single_stream(
            {"": lambda: session.predict(image)}, batch_size=1, seconds=_SECONDS, progress=SilentProgress()
        )[""]
    except VisionZooError:
        return None
    return _row(session, latency.milliseconds[50], latency.milliseconds[99])


def _row(session: Session, p50: float | None, p99: float | None) -> Row:
    metadata = session.metadata
    values = (
        session.name,
        metadata.dataset,
        round(100 * metadata.test_accuracy, 2),
        None if p50 is None else round(p50, 3),
        None if p99 is None else round(p99, 3),
        round(session.size / 2**20, 2),
        metadata.parameters,
    )
    return dict(zip(COLUMNS, values, strict=True))


_WIDTH, _HEIGHT = 760, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 18, 46
_COLOR = "#d55e00"
_RADIUS = 5.5
_CHARACTER_WIDTH, _LINE = 7.0, 13.0  # of a name, about

_Box = tuple[float, float, float, float]  # left, top, right, bottom


def scatter(rows: Sequence[Row]) -> str:
    """A point a model, its name beside it; a line joins those that no other model beats in both."""
    points = [(row["p50 ms"], row["accuracy %"], row["model"]) for row in rows if row["p50 ms"] is not None]
    if not points:
        return '<p class="vz-empty">Nothing has been measured yet.</p>'
    x_low, x_high = _padded([math.log10(latency) for latency, _, _ in points])
    y_low, y_high = _padded([accuracy for _, accuracy, _ in points])

    def place(latency: float, accuracy: float) -> tuple[float, float]:
        x = _LEFT + (math.log10(latency) - x_low) / (x_high - x_low) * (_WIDTH - _LEFT - _RIGHT)
        y = _TOP + (y_high - accuracy) / (y_high - y_low) * (_HEIGHT - _TOP - _BOTTOM)
        return x, y

    parts = [_vertical(place(latency, y_low), latency) for latency in _ticks(x_low, x_high)]
    parts += [_horizontal(place(10**x_low, accuracy), accuracy) for accuracy in _levels(y_low, y_high)]
    front = pareto_front([(latency, accuracy) for latency, accuracy, _ in points])
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*points[index][:2]) for index in front))
    parts.append(f'<polyline points="{line}" fill="none" stroke="{_COLOR}" stroke-width="1.5"/>')
    places = [place(latency, accuracy) for latency, accuracy, _ in points]
    parts += [_point(x, y, best=index in front) for index, (x, y) in enumerate(places)]
    parts += _names(places, [name for *_, name in points])
    description = "; ".join(
        f"{name}: {accuracy:.2f} %, {latency:.3g} ms" for latency, accuracy, name in points
    )
    return (
        '<div style="overflow-x:auto">'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(description)}" '
        'style="width:100%;min-width:600px;color:var(--body-text-color)" font-size="12" fill="currentColor">'
        f"{''.join(parts)}"
        f'<text x="{(_LEFT + _WIDTH) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">p50 of one image, ms</text>'
        f'<text x="14" y="{_HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 14 {_HEIGHT / 2})">'
        "test accuracy, %</text></svg></div>"
    )


def _padded(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = max(0.12 * (high - low), 0.05)
    return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(low), math.ceil(high) + 1)
    candidates = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
    return [value for value in candidates if low <= math.log10(value) <= high]


def _levels(low: float, high: float) -> list[float]:
    step = next(step for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if (high - low) / step <= 7)
    return [index * step for index in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _vertical(bottom: tuple[float, float], latency: float) -> str:
    x, y = bottom
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{y:.1f}" stroke="currentColor" opacity=".15"/>'
        f'<text x="{x:.1f}" y="{y + 16:.1f}" text-anchor="middle">{latency:g}</text>'
    )


def _horizontal(left: tuple[float, float], accuracy: float) -> str:
    x, y = left
    return (
        f'<line x1="{x:.1f}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="currentColor" opacity=".15"/>'
        f'<text x="{x - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{accuracy:g}</text>'
    )


def _point(x: float, y: float, *, best: bool) -> str:
    fill = _COLOR if best else "none"
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_RADIUS}" fill="{fill}" stroke="{_COLOR}" stroke-width="1.5"/>'


def _names(places: Sequence[tuple[float, float]], names: Sequence[str]) -> list[str]:
    """A name beside each point, where it covers no other name and no point as far as there is room."""
    taken = [(x - _RADIUS, y - _RADIUS, x + _RADIUS, y + _RADIUS) for x, y in places]
    texts = []
    for (x, y), name in zip(places, names, strict=True):
        width = _CHARACTER_WIDTH * len(name)
        choices = [
            (left, middle, left + width, middle + _LINE)
            for middle in (y - 7 - _LINE, y + 7, y - _LINE / 2, y - 20 - _LINE, y + 20)
            for left in (x + 9, x - 9 - width)
            if 0 <= left <= _WIDTH - width
        ] or [(0.0, y - 7 - _LINE, width, y - 7)]
        box = min(choices, key=lambda box: sum(_overlap(box, other) for other in taken))
        taken.append(box)
        end = box[0] < x
        texts.append(
            f'<text x="{box[2] if end else box[0]:.1f}" y="{box[3] - 3:.1f}" text-anchor="{"end" if end else "start"}">'
            f"{html.escape(name)}</text>"
        )
    return texts


def _overlap(one: _Box, other: _Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0.0) * max(height, 0.0)
