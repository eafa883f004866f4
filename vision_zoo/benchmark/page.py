"""A benchmark as one self-contained page: plots, all measurements, and the environment."""

from collections.abc import Sequence
from pathlib import Path

from vision_zoo.benchmark.engines import REFERENCE
from vision_zoo.benchmark.pictures import (
    accuracy_against_latency,
    distributions,
    latency_and_throughput,
    point_of,
    svg,
)
from vision_zoo.benchmark.tables import flat, footers, tables
from vision_zoo.core.benchmark_row import BenchmarkRow
from vision_zoo.core.environment import Environment
from vision_zoo.core.html import render

_TEMPLATE = Path(__file__).with_name("page.html")


def page(rows: Sequence[BenchmarkRow], environment: Environment) -> str:
    """HTML of a benchmark that was taken with `raw`. Needs nothing from elsewhere, scripts neither."""
    from markupsafe import Markup

    return render(
        _TEMPLATE,
        measured_on=_hardware(environment),
        pictures={heading: Markup(picture) for heading, picture in _pictures(rows).items()},  # noqa: S704 - our own SVG
        tables=tables(rows),
        footers=footers(rows),
        rows=flat(rows),
    )


def _pictures(rows: Sequence[BenchmarkRow]) -> dict[str, str]:
    single = [row for row in rows if row.scenario == "single-stream"]
    smallest = min((row.batch for row in single), default=None)
    first = [row for row in single if row.batch == smallest]
    own = [row for row in first if row.engine == REFERENCE]
    pictures = {}
    if own:
        figure = accuracy_against_latency(
            [point_of(row) for row in own], title=f"single-stream, batch {smallest}"
        )
        pictures["Accuracy against latency"] = svg(figure, seed="accuracy")
    for name in dict.fromkeys((row.scenario, row.batch) for row in rows):
        scenario, batch = name
        group = [row for row in rows if (row.scenario, row.batch) == name]
        title = f"{scenario}, batch {batch}"
        pictures[f"Latency: {title}"] = svg(
            latency_and_throughput(group, title=title), seed=f"latency {title}"
        )
        tail = distributions(group, title=title)
        pictures[f"Distribution: {title}"] = svg(tail, seed=f"distribution {title}")
    return pictures


def _hardware(environment: Environment) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in environment.versions.items())
    return f"{environment.description}, Python {environment.python}; {versions}"
