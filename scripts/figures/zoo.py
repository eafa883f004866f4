"""The shipped models: accuracy, size, latency."""

from typing import Any

from scripts.figures.sources import Results, of_kind, versions
from vision_zoo.benchmark.pictures import accuracy_against_latency, svg
from vision_zoo.core.environment import hardware
from vision_zoo.core.results import rows_of_one_image
from vision_zoo.core.statistics import pareto_front
from vision_zoo.core.tables import markdown

_COPIES = "¹ Re-encoded images: CIFAR-10 as JPEG with chroma subsampling, Imagenette as square JPEG."


def picture(results: Results) -> str:
    """Plot the accuracy of the shipped models against their latency, as SVG."""
    (document, *_) = of_kind(results, "zoo")
    title = f"The shipped models, one thread of {hardware(document['environment'])}"
    rows = list(rows_of_one_image(document).values())
    return svg(accuracy_against_latency(rows, title=title), seed="zoo", text_as_paths=True)


def front(results: Results) -> str:
    """The models of each dataset that no other one beats in both accuracy and latency."""
    (document, *_) = of_kind(results, "zoo")
    rows: list[dict[str, Any]] = []
    for dataset in sorted({entry["dataset"] for entry in document["models"]}):
        models = [entry for entry in document["models"] if entry["dataset"] == dataset]
        rows += [_short_row(entry, document) for entry in _front(models, rows_of_one_image(document))]
    how = (
        "Test accuracy of the exported file in ONNX Runtime; median latency of one image on one thread of "
        f"{hardware(document['environment'])}. {_COPIES}"
    )
    return f"{markdown(rows)}\n\n{how}"


def _front(models: list[dict[str, Any]], measured: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    points = [(measured[entry["model"]]["p50_ms"], entry["test_accuracy"]) for entry in models]
    return [models[index] for index in reversed(pareto_front(points))]


def _short_row(entry: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": f"`{entry['model']}`",
        "dataset": _dataset(entry),
        "accuracy": f"{entry['test_accuracy']:.2%}",
        "MiB": round(entry["bytes"] / 2**20, 2),
        "p50 ms": rows_of_one_image(document)[entry["model"]]["p50_ms"],
    }


def _dataset(entry: dict[str, Any]) -> str:
    return str(entry["dataset"]) + (" ¹" if "copy" in entry["data_variant"] else "")


def table(results: Results) -> str:
    """The accuracy, size and latency of every shipped model."""
    parts = []
    for document in of_kind(results, "zoo"):
        measured = rows_of_one_image(document)
        eager = {
            row["model"]: row["ratio"]
            for row in document["benchmark"]
            if row["engine"] == "torch" and row["batch"] == 1
        }
        rows = [
            {
                "model": f"`{entry['model']}`",
                "dataset": _dataset(entry),
                "accuracy": f"{entry['test_accuracy']:.2%}",
                "test images": f"{entry['test_images']:,}",
                "parameters": f"{entry['parameters']:,}",
                "MiB": round(entry["bytes"] / 2**20, 2),
                "computes in": entry["precision"],
                "weights": entry["weights"],
                "p50 ms": measured[entry["model"]]["p50_ms"],
                "p99 ms": measured[entry["model"]]["p99_ms"],
                "eager torch, p50": f"{eager[entry['model']]:.1f}x",
            }
            for entry in sorted(
                document["models"], key=lambda entry: (entry["dataset"], -entry["test_accuracy"])
            )
        ]
        calls = [row["calls"] for row in measured.values()]
        how = (
            "Accuracy of the exported file on the whole test split, in ONNX Runtime, from one training run each. "
            "Latency of one image, from pixels to probabilities, on one thread of "
            f"{hardware(document['environment'])}, over {min(calls):,} to {max(calls):,} calls. The last column is "
            "the latency of eager torch relative to ONNX Runtime, measured alternately. "
            f"With {versions(document['environment'])}."
        )
        parts += [markdown(rows), how, _COPIES]
    return "\n\n".join(parts)
