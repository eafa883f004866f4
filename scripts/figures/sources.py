"""Shared by the generated parts: the results, and the format of versions."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from vision_zoo.core.environment import Environment

_VERSIONS_SHOWN = ("torch", "onnx", "onnxruntime-gpu", "onnxruntime")

Value = TypeVar("Value")
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


def read_as(results: Results, name: str, kind: type[Value]) -> list[Value]:
    """The documents of the kind called `name`, as objects of the class `kind`."""
    return [msgspec.convert(document, kind, str_keys=True) for document in of_kind(results, name)]


def environment_of(document: dict[str, Any]) -> Environment:
    """What a document was measured on."""
    return msgspec.convert(document["environment"], Environment)


def hardware(document: dict[str, Any]) -> str:
    """The same in words."""
    return environment_of(document).description


def versions(environment: Environment, shown: Sequence[str] = _VERSIONS_SHOWN) -> str:
    """`torch 2.15.0, onnx 1.23.2`: those that results depend on."""
    found = environment.versions
    return ", ".join(f"{name} {found[name]}" for name in shown if name in found)
