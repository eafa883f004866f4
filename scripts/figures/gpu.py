"""Speed of CUDA graphs and lower precisions in training on a GPU."""

from typing import Any

from scripts.figures.sources import Results, environment_of, hardware, of_kind, versions
from vision_zoo.core.tables import markdown


def table(results: Results) -> str:
    """Milliseconds of a training step on a GPU, eager and as a CUDA graph."""
    parts = []
    for document in of_kind(results, "gpu_steps"):
        rows = [_row(name, measured) for name, measured in document["recipes"].items()]
        how = (
            f"Milliseconds per training step on one {hardware(document)}, Python "
            f"{document['environment']['python']}, {versions(environment_of(document))}; random images, at least "
            f"{document['seconds']} s of steps for each value. *Gain*: eager over graph in fp32. *Repeatable*: time "
            "with deterministic algorithms over time without them, in fp32."
        )
        parts += [markdown(rows), how]
    return "\n\n".join(parts)


def _row(name: str, measured: dict[str, Any]) -> dict[str, Any]:
    times = measured["milliseconds"]
    fp32 = times["fp32"]
    return {
        "recipe": f"`{name}`",
        "batch": measured["batch"],
        "eager fp32": f"{fp32['eager']:.2f}",
        **{f"graph {precision}": f"{ways['graph']:.2f}" for precision, ways in times.items()},
        "gain": f"{fp32['eager'] / fp32['graph']:.1f}x",
        "repeatable": f"{fp32['graph'] / fp32['graph, not repeatable']:.2f}x",
    }
