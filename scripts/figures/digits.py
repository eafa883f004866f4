"""Accuracy on photographed sheets of paper."""

from typing import Any

from scripts.figures.sources import Results, environment_of, hardware, of_kind, versions
from vision_zoo.core.tables import markdown

_READ_WITH = ("onnxruntime-gpu", "onnxruntime", "numpy", "pillow")


def table(results: Results) -> str:
    """The accuracy of each model under each condition, and the versions used."""
    return "\n\n".join(part for document in of_kind(results, "digits") for part in _parts(document))


def _parts(document: dict[str, Any]) -> list[str]:
    conditions = document["conditions"]
    rows = [
        {
            "condition": row["condition"],
            "digits": row["digits"],
            "refused": row["refused"],
            **{f"`{model}`": f"{right:.1%}" for model, right in row["accuracy"].items()},
        }
        for row in conditions
    ]
    how = (
        "A refused sheet counts as an error. Pen widths are in pixels on a sheet of 1,000 pixels. "
        f"Measured on {hardware(document)}; {versions(environment_of(document), _READ_WITH)}."
    )
    return [markdown(rows), how]
