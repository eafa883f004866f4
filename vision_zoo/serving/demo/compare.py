"""The comparison of the models of one dataset on the page: a plot and a table, in which a model has the same number."""

import html
import math
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

from vision_zoo.core import json_file
from vision_zoo.core.benchmark_row import row_of_file
from vision_zoo.core.errors import RunError, VisionZooError
from vision_zoo.core.progress import SilentProgress
from vision_zoo.core.results import ZooResult, shipped_results
from vision_zoo.core.scenarios import single_stream
from vision_zoo.core.statistics import pareto_front
from vision_zoo.serving.demo.verdict import breakable
from vision_zoo.serving.session import Session

Row = dict[str, Any]

_COLUMNS = {"accuracy %": ".2f", "p50 ms": ".3f", "p99 ms": ".3f", "MiB": ".2f", "parameters": ",d"}
"""With the formats of their numbers."""
_SECONDS = 0.3
_HOW_TO_READ = (
    '<p class="hint">Higher is more accurate, further left is faster. The line joins the models that no other beats in '
    "both.</p>"
)
_NOT_MEASURED = "Not measured yet: press the button."


def shipped(sessions: Sequence[Session]) -> tuple[list[Row], str]:
    """The measurements of the shipped files and their hardware; no latency where there are none."""
    for path in sorted(shipped_results().glob("*/zoo.json")):
        with suppress(RunError):
            document = json_file.read(path, ZooResult)
            known = []
            for session in sessions:
                accuracy = session.metadata.test_accuracy
                row = row_of_file(document.benchmark, session.name, size=session.size, test_accuracy=accuracy)
                known.append(_row(session, row.p50_ms, row.p99_ms) if row else _row(session, None, None))
            if any(row["p50 ms"] is not None for row in known):
                where = document.environment.description
                return known, f"Measured on {where}, one image at a time, one thread."
    return [_row(session, None, None) for session in sessions], _NOT_MEASURED


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
        100 * metadata.test_accuracy,
        p50,
        p99,
        session.size / 2**20,
        metadata.parameters,
    )
    return {"model": session.name, "dataset": metadata.dataset, **dict(zip(_COLUMNS, values, strict=True))}


_WIDTH, _HEIGHT = 520, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 16, 14, 44
_RADIUS = 5.5
_CHARACTER_WIDTH, _LINE = 8.0, 13.0  # of a number, about

_AROUND = ((11, -11), (-11, -11), (11, 11), (-11, 11), (0, -15), (0, 15), (15, 0), (-15, 0))

_Place = tuple[float, float]
_Box = tuple[float, float, float, float]  # left, top, right, bottom


def compared(rows: Sequence[Row], dataset: object) -> str:
    """The models of `dataset` as HTML, the most accurate first: a plot of those that were measured, a table of all."""
    chosen = sorted(
        (row for row in rows if row["dataset"] == dataset), key=lambda row: (-row["accuracy %"], row["model"])
    )
    plot, table = _scatter(chosen), _table(chosen)
    return f'<div class="compared"><div>{plot}{_HOW_TO_READ}</div>{table}</div>' if plot else table


def _table(rows: Sequence[Row]) -> str:
    heads = "".join(f'<th scope="col">{column}</th>' for column in ("model", *_COLUMNS))
    lines = "".join(
        f'<tr><th scope="row"><b>{number}</b>{breakable(row["model"])}</th>'
        + "".join(f"<td>{_cell(row[column], form)}</td>" for column, form in _COLUMNS.items())
        + "</tr>"
        for number, row in enumerate(rows, 1)
    )
    return f'<table class="models"><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>'


def _cell(value: float | int | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _scatter(rows: Sequence[Row]) -> str:
    """A point a model, its number beside it; a line joins those that no other model beats in both."""
    numbered = [(row, str(number)) for number, row in enumerate(rows, 1) if row["p50 ms"] is not None]
    points = [(row["p50 ms"], row["accuracy %"], row["model"]) for row, _ in numbered]
    if not points:
        return ""
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
    parts.append(f'<polyline points="{line}" fill="none" stroke="var(--accent)" stroke-width="1.5"/>')
    places = [place(latency, accuracy) for latency, accuracy, _ in points]
    parts += [_point(x, y, points[index][2], best=index in front) for index, (x, y) in enumerate(places)]
    parts += _numbers(places, [number for _, number in numbered], [places[index] for index in front])
    description = "; ".join(
        f"{name}: {accuracy:.2f} %, {latency:.3g} ms" for latency, accuracy, name in points
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(description)}" '
        'font-size="13" fill="currentColor">'
        f"{''.join(parts)}"
        f'<text x="{(_LEFT + _WIDTH) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">p50 of one image, ms</text>'
        f'<text x="12" y="{_HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 12 {_HEIGHT / 2})">'
        "test accuracy, %</text></svg>"
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


def _point(x: float, y: float, name: str, *, best: bool) -> str:
    fill = "var(--accent)" if best else "none"
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_RADIUS}" fill="{fill}" stroke="var(--accent)" stroke-width="1.5">'
        f"<title>{html.escape(name)}</title></circle>"
    )


def _numbers(places: Sequence[_Place], numbers: Sequence[str], line: Sequence[_Place]) -> list[str]:
    """A number beside each point, where it covers no other, no point and no part of `line` as far as there is room."""
    taken = [_box(place, 2 * _RADIUS, 2 * _RADIUS) for place in places]
    for (x, y), (to_x, to_y) in pairwise(line):
        along = [(x + (to_x - x) * part / 64, y + (to_y - y) * part / 64) for part in range(64)]
        taken += [_box(place, 2, 2) for place in along]
    texts = []
    for (x, y), number in zip(places, numbers, strict=True):
        width = _CHARACTER_WIDTH * len(number)
        boxes = [
            _box((x + reach * dx, y + reach * dy), width, _LINE)
            for reach in (1.0, 1.7, 2.4)
            for dx, dy in _AROUND
        ]
        box = min(boxes, key=lambda box: sum(_overlap(box, other) for other in taken))
        taken.append(box)
        middle, bottom = (box[0] + box[2]) / 2, box[3] - 2
        texts.append(f'<text x="{middle:.1f}" y="{bottom:.1f}" text-anchor="middle">{number}</text>')
    return texts


def _box(middle: _Place, width: float, height: float) -> _Box:
    x, y = middle
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _overlap(one: _Box, other: _Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0.0) * max(height, 0.0)
