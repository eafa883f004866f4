"""Shared by the generated parts: the results, and the format of versions."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_VERSIONS_SHOWN = ("torch", "onnx", "onnxruntime-gpu", "onnxruntime")

Results = dict[str, dict[str, Any]]
"""Every file of `results/` by its path below it."""


def load_results(root: Path) -> Results:
    """Read the results below `root`."""
    folder = root / "results"
    return {
        path.relative_to(folder).as_posix(): json.loads(path.read_text())
        for path in sorted(folder.rglob("*.json"))
    }


def of_kind(results: Results, kind: str) -> list[dict[str, Any]]:
    """The documents of one kind, one for each environment."""
    return [document for document in results.values() if document.get("kind") == kind]


def versions(environment: dict[str, Any], shown: Sequence[str] = _VERSIONS_SHOWN) -> str:
    """`torch 2.15.0, onnx 1.23.2`: those that results depend on."""
    return ", ".join(
        f"{name} {environment['versions'][name]}" for name in shown if name in environment["versions"]
    )
