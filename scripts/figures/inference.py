"""Inference overhead of the session over ONNX Runtime, and its gains."""

from typing import Any

from scripts.figures.sources import Results, hardware, of_kind
from vision_zoo.core.tables import markdown


def table(results: Results) -> str:
    """Ratios of latencies from one run."""
    return "\n\n".join(part for document in of_kind(results, "inference") for part in _inference(document))


def _inference(document: dict[str, Any]) -> list[str]:
    overhead, engines, options = document["overhead"], document["engines"], document["options"]
    callers = options[0]["callers"]
    rows = {
        "`Session.predict` over a bare `session.run`, one image": _range(
            overhead, "Session.predict", "p50", 1
        ),
        "`Session.predict` over a bare `session.run`, 64 images": _range(
            overhead, "Session.predict", "p50", 64
        ),
        "eager torch over ONNX Runtime, one image, one thread each": _range(engines, "torch", "p50", 1),
        f"ONNX Runtime with its default options over ours, {callers} concurrent callers": _range(
            options, "default options", "p50", 1
        ),
        "the same": _range(options, "default options", "p99", 1),
    }
    cold = document["cold"]
    seconds = cold["seconds"]
    imports = ", ".join(f"{name} {value:.0f}" for name, value in list(cold["imports_ms"].items())[:4])
    table = markdown(
        [{"ratio of latencies": what, "percentile": of, "range": text} for what, (of, text) in rows.items()]
    )
    how = (
        f"One model of each of {len(engines)} architectures, measured alternately in one run on "
        f"{hardware(document)}. `vision-zoo predict` takes {seconds['median']:.2f} s from process start "
        f"to result (median of {cold['calls']}; {seconds['smallest']:.2f} to {seconds['largest']:.2f}). Slowest imports, "
        f"in milliseconds under `-X importtime`, which adds overhead: {imports}."
    )
    files = [
        f"`{row['model']}` {row['cpu_us']['predict']:.0f} µs, a plain loop with Pillow {row['cpu_us']['plain loop']:.0f}"
        for row in document.get("files", ())
    ]
    many = f"CPU time of `vision-zoo predict` per file, for many small PNG files: {'; '.join(files)}."
    return [table, how, *([many] if files else [])]


def _range(rows: list[dict[str, Any]], runner: str, percentile: str, batch: int) -> tuple[str, str]:
    ratios = [row["arms"][runner][f"{percentile}_ratio"] for row in rows if row["batch"] == batch]
    known = [ratio for ratio in ratios if ratio is not None]
    return percentile, f"{min(known):.2f} to {max(known):.2f}"
