"""Tables of benchmark results for a terminal, with their footers."""

from collections.abc import Mapping, Sequence
from typing import Any

from vision_zoo.benchmark.engines import REFERENCE
from vision_zoo.core.benchmark_row import BenchmarkRow
from vision_zoo.core.json_file import fields_of
from vision_zoo.core.tables import counted

_NARROW = ("engine", "batch", "calls", "p50_ms", "p90_ms", "p99_ms", "p99_9_ms", "max_ms")
_LEGEND = (
    "Milliseconds per call; – if fewer than 10 calls lie beyond a percentile. Ratio: p50 relative to ONNX Runtime. "
    "Cold: load and first run in a separate process, and the memory they added."
)


def tables(rows: Sequence[BenchmarkRow]) -> dict[str, list[dict[str, Any]]]:
    """Group `rows` into one narrow table per model, provider and scenario, by title."""
    found: dict[str, list[dict[str, Any]]] = {}
    title = ""
    for row in rows:
        if row.engine == REFERENCE:
            title = _title(row)
        narrow = {key: getattr(row, key) for key in _NARROW}
        narrow |= {
            "images/s": row.images_per_second,
            "ratio": None if row.ratio is None else f"{row.ratio:.2f}",
            "": _remark(row),
        }
        found.setdefault(title, []).append(narrow)
    return {title: _without_empty_remarks(table) for title, table in found.items()}


def footers(rows: Sequence[BenchmarkRow]) -> list[str]:
    """Lines below the tables: measurements per model, and a legend."""
    lines = []
    for row in {(row.model, row.provider): row for row in rows if row.engine == REFERENCE}.values():
        memory = "" if row.memory_mib is None else f", {row.memory_mib:.1f} MiB"
        nodes = ", ".join(f"{count} on {provider}" for provider, count in (row.nodes or {}).items())
        copies = f", {row.copies} copies between devices" if row.copies else ""
        lines.append(
            f"{row.model}: cold {row.load_ms:.1f} ms to load, {row.first_run_ms:.2f} ms first run{memory}; "
            f"256 x 256 image: preprocessing {row.preprocess_ms:.3f} ms, inference {row.run_ms:.3f} ms, "
            f"postprocessing {row.postprocess_ms:.3f} ms; operators: {nodes}{copies}"
        )
    return [*lines, _LEGEND]


def flat(rows: Sequence[BenchmarkRow]) -> list[dict[str, Any]]:
    """`rows` for CSV and Markdown: no nested values, every row with the same columns."""
    return [
        {
            key: " ".join(f"{name}:{count}" for name, count in value.items())
            if isinstance(value, Mapping)
            else value
            for key, value in fields_of(row).items()
            if key != "raw_ms"
        }
        for row in rows
    ]


def _title(row: BenchmarkRow) -> str:
    threads = counted(row.threads, "thread")
    rate = "" if row.rate is None else f" at {row.rate:,.0f} calls/s"
    return (
        f"{row.model}: {row.provider}, {row.precision}, {threads}, {row.scenario}{rate}"
        f" ({row.test_accuracy:.2%} of {row.test_images:,}, {row.bytes / 2**20:.2f} MiB)"
    )


def _remark(row: BenchmarkRow) -> str:
    remarks = []
    if row.errors:
        remarks.append(f"{row.errors} errors")
    if row.steady is False:
        remarks.append("unstable")
    return ", ".join(remarks)


def _without_empty_remarks(table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if any(row[""] for row in table):
        return table
    return [{key: value for key, value in row.items() if key} for row in table]
