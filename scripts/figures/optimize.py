"""What `vision-zoo optimize` gains: latency and accuracy of every shipped file, before and after."""

import statistics

from scripts.figures.sources import Results, read_as, versions
from vision_zoo.core.model_results import OptimizedModel, OptimizeResult, TriedGraph
from vision_zoo.core.tables import markdown


def table(results: Results) -> str:
    """A row for each file and environment; a sentence where none was measured."""
    parts = []
    for document in read_as(results, "optimize", OptimizeResult):
        rows = [_row(model, [str(size) for size in document.batch_sizes]) for model in document.models]
        parts += [markdown(rows), _summary(document)]
    return "\n\n".join(parts) or "Not measured yet."


def _row(model: OptimizedModel, batch_sizes: list[str]) -> dict[str, str]:
    before, after = model.original, model.chosen
    others = [one for one in model.others if one.graph != after.graph]
    return {
        "model": f"`{model.model}`",
        "chosen": f"{after.graph}; {after.options}",
        **{f"batch {size}, ms": f"{_of(before, size)} → {_of(after, size)}" for size in batch_sizes},
        "speed-up": f"{after.speedup or 1:.2f}x",
        "accuracy": f"{before.accuracy or 0:.2%} → {after.accuracy or 0:.2%}",
        "same predictions": f"{after.argmax_agreement or 0:.2%} of {model.images:,}",
        "others": "; ".join(map(_other, others)) or "–",
    }


def _of(graph: TriedGraph, batch_size: str) -> str:
    return f"{(graph.milliseconds or {})[batch_size]:.3g}"


def _other(one: TriedGraph) -> str:
    if one.reason:
        return f"{one.graph}: {one.reason}"
    return f"{one.graph}: {one.speedup or 0:.2f}x, {one.accuracy or 0:.2%}"


def _summary(document: OptimizeResult) -> str:
    gains = [model.chosen.speedup or 1.0 for model in document.models]
    in_eight_bits = sum(
        model.chosen.graph.startswith("int8") and not model.original.graph.startswith("int8")
        for model in document.models
    )
    single = sum(model.original.graph == "fp32" for model in document.models)
    lost = [
        100 * ((model.original.accuracy or 0) - (model.chosen.accuracy or 0)) for model in document.models
    ]
    return (
        f"Median latency of a call, one call after the other, {document.seconds:g} s for each candidate in each round, "
        f"in turns. The median speed-up is {statistics.median(gains):.2f}x, the largest {max(gains):.2f}x, over "
        f"{len(gains)} files; 8-bit integers are chosen for {in_eight_bits} of the {single} in single precision, and the "
        f"largest loss of accuracy is {max(0.0, *lost):.2f} points. Measured on {document.environment.description}; "
        f"{versions(document.environment, ('onnxruntime-gpu', 'onnxruntime'))}."
    )
