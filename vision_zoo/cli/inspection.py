"""Metadata, operators and layers of an exported model, for `vision-zoo info`."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from vision_zoo.serving.session import Session


def describe_model(path: Path) -> dict[str, Any]:
    """Describe the metadata, the file, and the operators and layers of the graph; ModelError if the file cannot be used.

    `operators` and `layers` are None if the package onnx is not installed.
    """
    session = Session(path, provider="cpu")
    metadata = session.metadata
    described: dict[str, Any] = {
        "name": session.name,
        "path": str(path),
        "bytes": session.size,
        "listed_in_manifest": session.verified,
        **metadata.to_dict(),
        "operators": None,
        "layers": None,
    }
    try:
        from vision_zoo.exporting.graph import summarise_graph

        summary = summarise_graph(path.read_bytes(), name=str(path))
    except ModuleNotFoundError:
        return described
    described["operators"] = dict(summary.operators)
    described["layers"] = [asdict(layer) for layer in summary.layers]
    return described


def overview(described: dict[str, Any]) -> list[dict[str, Any]]:
    """Two columns for a terminal."""
    image = described["input"]
    rows = {
        "file": f"{described['path']}, {described['bytes'] / 2**20:.2f} MiB",
        "manifest": "the file matches manifest.json"
        if described["listed_in_manifest"]
        else "the file is not listed in a manifest",
        "recipe": described["recipe"],
        "architecture": _with_arguments(described["architecture"], described["architecture_arguments"]),
        "dataset": f"{described['dataset']} ({described['data_variant']})",
        "test accuracy": f"{described['test_accuracy']:.2%} of {described['test_images']:,} images, with this file",
        "labels": ", ".join(described["labels"]),
        "input": f"image: uint8 [batch, {image['height']}, {image['width']}, {image['channels']}]",
        "preprocessing": _preparation(image),
        "output": f"logits, probabilities: float32 [batch, {len(described['labels'])}]",
        "precision": described["precision"],
        "large weights": described["weights"],
        "parameters": f"{described['parameters']:,}",
        "MACs": f"{described['macs']:,} for one image",
        "opset": described["opset"],
        "written by": ", ".join(f"{name} {version}" for name, version in described["versions"].items()),
    }
    if described["operators"] is not None:
        rows["operators"] = ", ".join(f"{count} {name}" for name, count in described["operators"].items())
    return [{"": name, "value": str(value)} for name, value in rows.items()]


def _with_arguments(architecture: str, arguments: dict[str, Any]) -> str:
    text = ", ".join(f"{name}={value}" for name, value in arguments.items())
    return f"{architecture} ({text})" if text else architecture


def _preparation(image: dict[str, Any]) -> str:
    steps = ["grayscale" if image["channels"] == 1 else "RGB"]
    steps.append("cropped to the central square" if image["crop"] == "center" else "padded to a square")
    if image["polarity"] == "light_on_dark":
        steps.append("inverted if the border is light")
    if image["centring"] == "center_of_mass":
        steps.append("content scaled to 20/28 of the side, centred by mass")
    steps.append(f"scaled with a {image['resample']} filter")
    return ", ".join(steps)
