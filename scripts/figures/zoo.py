"""The shipped models: accuracy, size, latency."""

import math
from typing import Any

from scripts.figures.sources import Results, environment_of, of_kind, read_as, versions
from vision_zoo.benchmark.pictures import accuracy_against_latency, point_of, svg
from vision_zoo.core.benchmark_row import BenchmarkRow
from vision_zoo.core.results import ZooModel, ZooResult
from vision_zoo.core.statistics import pareto_front
from vision_zoo.core.tables import markdown

_COPIES = "¹ Re-encoded images: CIFAR-10 as JPEG with chroma subsampling, Imagenette as square JPEG."


def picture(results: Results) -> str:
    """Plot the accuracy of the shipped models against their latency, as SVG."""
    (document, *_) = read_as(results, "zoo", ZooResult)
    title = f"The shipped models, one thread of {document.environment.description}"
    points = [point_of(row) for row in document.rows_of_one_image().values()]
    return svg(accuracy_against_latency(points, title=title), seed="zoo", text_as_paths=True)


def front(results: Results) -> str:
    """The models of each dataset that no other one beats in both accuracy and latency."""
    (document, *_) = read_as(results, "zoo", ZooResult)
    rows: list[dict[str, Any]] = []
    for dataset in sorted({entry.dataset for entry in document.models}):
        models = [entry for entry in document.models if entry.dataset == dataset]
        rows += [_short_row(entry, document) for entry in _front(models, document.rows_of_one_image())]
    how = (
        "Test accuracy of the exported file in ONNX Runtime; median latency of one image on one thread of "
        f"{document.environment.description}. {_COPIES}"
    )
    return f"{markdown(rows)}\n\n{how}"


def _front(models: list[ZooModel], measured: dict[str, BenchmarkRow]) -> list[ZooModel]:
    points = [(measured[entry.model].p50_ms or math.nan, entry.test_accuracy) for entry in models]
    return [models[index] for index in reversed(pareto_front(points))]


def _short_row(entry: ZooModel, document: ZooResult) -> dict[str, Any]:
    return {
        "model": f"`{entry.model}`",
        "dataset": _dataset(entry),
        "accuracy": f"{entry.test_accuracy:.2%}",
        "MiB": round(entry.bytes / 2**20, 2),
        "p50 ms": document.rows_of_one_image()[entry.model].p50_ms,
    }


def _dataset(entry: ZooModel) -> str:
    return entry.dataset + (" ¹" if "copy" in entry.data_variant else "")


def table(results: Results) -> str:
    """The accuracy, size and latency of every shipped model."""
    parts = []
    for document in read_as(results, "zoo", ZooResult):
        measured = document.rows_of_one_image()
        eager = {
            row.model: row.ratio for row in document.benchmark if row.engine == "torch" and row.batch == 1
        }
        measured_floors = _floor_documents(results, document)
        floors = {
            row["model"]: f"{row['over_floor']:.1f}x" for found in measured_floors for row in found["rows"]
        }
        rows = [
            {
                "model": f"`{entry.model}`",
                "dataset": _dataset(entry),
                "accuracy": f"{entry.test_accuracy:.2%}",
                "test images": f"{entry.test_images:,}",
                "parameters": f"{entry.parameters:,}",
                "MiB": round(entry.bytes / 2**20, 2),
                "computes in": entry.precision,
                "weights": entry.weights,
                "p50 ms": measured[entry.model].p50_ms,
                "over the floor": floors.get(entry.model, "not measured"),
                "p99 ms": measured[entry.model].p99_ms,
                "eager torch, p50": f"{eager[entry.model]:.1f}x",
            }
            for entry in sorted(document.models, key=lambda entry: (entry.dataset, -entry.test_accuracy))
        ]
        calls = [row.calls for row in measured.values()]
        how = (
            "Accuracy of the exported file on the whole test split, in ONNX Runtime, from one training run each. "
            "Latency of one image, from pixels to probabilities, on one thread of "
            f"{document.environment.description}, over {min(calls):,} to {max(calls):,} calls. The last column is "
            "the latency of eager torch relative to that of ONNX Runtime, measured alternately. The floor is defined in "
            "[a section below](#other-runtimes-and-the-floor); that column is from another run. "
            f"With {versions(document.environment)}."
        )
        parts += [markdown(rows), how, _COPIES]
    return "\n\n".join(parts)


def _floor_documents(results: Results, document: ZooResult) -> list[dict[str, Any]]:
    """Measurements of other runtimes and floors on hardware as in `document`."""
    return [
        found
        for found in of_kind(results, "runtimes")
        if environment_of(found).folder_name == document.environment.folder_name
    ]
