"""Plots of a benchmark as SVG: accuracy against latency, bars, distributions."""

import hashlib
import io
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vision_zoo.core.benchmark_row import BenchmarkRow
from vision_zoo.core.statistics import pareto_front

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart by colour-blind readers; the marker says it once more.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
_TOP = 1.005  # of an axis of accuracies: room for a marker at 100 %
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


class Point(NamedTuple):
    """A model on a dataset: milliseconds of one image (p50), and a fraction right."""

    dataset: str
    model: str
    p50_ms: float
    accuracy: float


def point_of(row: BenchmarkRow) -> Point:
    """The point of a row of ONNX Runtime."""
    return Point(row.dataset, row.model, row.p50_ms or math.nan, row.test_accuracy or math.nan)


def accuracy_against_latency(points: Sequence[Point], *, title: str) -> "Figure":
    """A point a model, a panel a dataset; the Pareto front of each dataset is a line through ringed points."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    datasets = list(dict.fromkeys(point.dataset for point in points))
    columns = min(3, len(datasets))
    lines = -(-len(datasets) // columns)
    alone = len(datasets) == 1  # has room for its legend beside it
    size = (8.0, 4.4) if alone else (4.6 * columns, 3.5 * lines + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    panels = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axes, dataset in zip(panels, datasets, strict=False):
        own = [point for point in points if point.dataset == dataset]
        front = pareto_front([(point.p50_ms, point.accuracy) for point in own])
        line = [[own[index].p50_ms for index in front], [own[index].accuracy for index in front]]
        axes.plot(*line, "-", color="#999999", zorder=1)
        for index, point in enumerate(own):
            on_front = index in front
            marker = MARKERS[(index + index // len(MARKERS)) % len(MARKERS)]  # another for a colour's second
            axes.plot(
                point.p50_ms,
                point.accuracy,
                marker=marker,
                color=PALETTE[index % len(PALETTE)],
                markersize=9,
                markeredgecolor="black" if on_front else "none",
                markeredgewidth=1.6,
                linestyle="none",
                label=short_name(point.model, point.dataset),
            )
        axes.set_title(dataset, fontsize=11)
        axes.margins(0.15)
        axes.set_ylim(top=min(axes.get_ylim()[1], _TOP))
        logarithmic(axes, "x")
        axes.set_xlabel("p50 latency of one image, ms")
        axes.set_ylabel("test accuracy")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.grid(alpha=0.3, which="both")
        place: dict[str, Any] = (
            {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)} if alone else {"loc": "best"}
        )
        axes.legend(fontsize=7.5, **place)
    for axes in panels[len(datasets) :]:
        axes.set_visible(False)
    figure.suptitle(f"{title}; black rings: Pareto front", fontsize=10)
    return figure


def latency_and_throughput(rows: Sequence[BenchmarkRow], *, title: str) -> "Figure":
    """One line per model and engine: p50, p99 and maximum on the left, images per second as bars on the right."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 0.3 * len(rows) + 1.3), layout="constrained")
    latency, throughput = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    engines = list(dict.fromkeys(row.engine for row in rows))
    places = range(len(rows), 0, -1)
    for place, row in zip(places, rows, strict=True):
        index = engines.index(row.engine)
        color = PALETTE[index % len(PALETTE)]
        if row.p99_ms is not None:
            latency.plot([row.p50_ms, row.p99_ms], [place, place], "-", color=color, linewidth=2)
        latency.plot(row.max_ms, place, "|", color=color, markersize=8)
        latency.plot(row.p50_ms, place, MARKERS[index % len(MARKERS)], color=color, markersize=7)
        throughput.barh(place, row.images_per_second, color=color, height=0.7)
    latency.set_yticks(places, [f"{row.model}, {row.engine}" for row in rows], fontsize=8)
    logarithmic(latency, "x")
    latency.set_xlabel("ms per call: p50, line to p99, tick at maximum")
    throughput.set_xlabel("images per second")
    throughput.xaxis.set_major_formatter("{x:,.0f}")
    throughput.tick_params(axis="x", labelsize=8)
    for axes in (latency, throughput):
        axes.grid(alpha=0.3, axis="x", which="both")
    figure.suptitle(title, fontsize=10)
    return figure


def distributions(rows: Sequence[BenchmarkRow], *, title: str) -> "Figure":
    """The fraction of calls slower than a given time, on logarithmic axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 4.2), layout="constrained")
    axes = figure.subplots()
    for index, row in enumerate(rows):
        times = np.sort(np.asarray(row.raw_ms, dtype=np.float64))
        slower = 1 - np.arange(len(times)) / len(times)
        style = ("-", "--", ":", "-.")[index // len(PALETTE) % 4]
        axes.step(
            times,
            slower,
            style,
            where="post",
            color=PALETTE[index % len(PALETTE)],
            label=f"{row.model}, {row.engine}",
        )
    logarithmic(axes, "x")
    logarithmic(axes, "y")
    axes.set_xlabel("milliseconds")
    axes.set_ylabel("fraction of slower calls")
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def svg(figure: "Figure", *, seed: str, text_as_paths: bool = False) -> str:
    """The figure as an SVG element; `seed` makes its identifiers the same every time, and unlike another's.

    `text_as_paths` is for where the reader's fonts must not change it.
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": seed, "svg.fonttype": "path" if text_as_paths else "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return _numbered(text[text.index("<svg") :], prefix=hashlib.sha256(seed.encode()).hexdigest()[:6])


def _numbered(text: str, *, prefix: str) -> str:
    """The identifiers that matplotlib hashes, numbered: a hash has the last bits of this processor's arithmetic."""
    hashed = dict.fromkeys(re.findall(r'id="([a-z][0-9a-f]{10})"', text))
    numbers = {name: f"{name[0]}{prefix}-{number}" for number, name in enumerate(hashed)}
    return re.sub(r"\b[a-z][0-9a-f]{10}\b", lambda found: numbers.get(found[0], found[0]), text)


def logarithmic(axes: "Axes", which: str) -> None:
    """A logarithmic axis with plain numbers: 0.02, not 2 x 10^-2."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    narrow = high < 8 * low
    axis.set_major_locator(
        LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0) if narrow else (1.0, 2.0, 5.0))
    )
    axis.set_major_formatter(FormatStrFormatter("%g"))
    axis.set_minor_formatter(NullFormatter())


def short_name(model: str, dataset: str) -> str:
    """A model's name without that of its dataset."""
    return model.replace(f"-{dataset.replace('-', '_')}", "")
