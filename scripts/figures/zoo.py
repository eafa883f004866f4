"""The shipped files: accuracy, size, latency."""

from scripts.figures.sources import Results, of_kind, versions
from vision_zoo.benchmark.pictures import accuracy_against_latency, svg
from vision_zoo.core.environment import hardware
from vision_zoo.core.results import rows_of_one_image
from vision_zoo.core.tables import markdown


def picture(results: Results) -> str:
    """The shipped files' accuracy against their latency, as SVG."""
    (document, *_) = of_kind(results, "zoo")
    title = f"The shipped models, one thread of {hardware(document['environment'])}"
    rows = list(rows_of_one_image(document).values())
    return svg(accuracy_against_latency(rows, title=title), seed="zoo", text_as_paths=True)


def table(results: Results) -> str:
    """The shipped files: what each reaches, how large and how fast it is."""
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
                "dataset": entry["dataset"] + (" ¹" if "copy" in entry["data_variant"] else ""),
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
            "The accuracy is the exported file's on the whole test split, in ONNX Runtime; one run each. "
            "Milliseconds are of one image, from its pixels to its probabilities, on one thread of "
            f"{hardware(document['environment'])}, over {min(calls):,} to {max(calls):,} calls; the last "
            f"column is eager torch's time as a multiple, measured in turns. With {versions(document['environment'])}."
        )
        copies = "¹ Re-encoded pictures: CIFAR-10 as JPEG with halved colour resolution, Imagenette as square JPEG."
        parts += [markdown(rows), how, copies]
    return "\n\n".join(parts)
