"""Results of repeated experiments: one JSON file per recipe and environment under `results/`.

    results/<environment>/<recipe>.json          the metrics of every seed
    results/<environment>/<recipe>-grid.json     every point of a grid search
    results/<environment>/zoo.json               the shipped files: accuracy, size, latency

Needs no torch.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vision_zoo.core import atomic
from vision_zoo.core.environment import hardware
from vision_zoo.core.errors import RunError

SCHEMA_VERSION = 2


def shipped_results() -> Path:
    """The folder of the results that come with the package: beside it in a checkout, inside an installed wheel."""
    package = Path(__file__).resolve().parent.parent
    beside = package.parent / "results"
    return beside if beside.is_dir() else package / "measured"


def rows_of_one_image(zoo: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """By model: what `zoo.json` has of ONNX Runtime and one image, one call after the other."""
    return {
        row["model"]: row
        for row in zoo["benchmark"]
        if row["engine"] == "onnxruntime" and row["batch"] == 1 and row["scenario"] == "single-stream"
    }


def environment_name(described: Mapping[str, Any]) -> str:
    """A folder name for an environment: its GPU, or its CPU and how many cores were used."""
    return re.sub(r"[^a-z0-9]+", "-", hardware(described).lower()).strip("-")


def result_path(results_dir: Path, environment: Mapping[str, Any], name: str) -> Path:
    """The path of the results called `name` that were measured in `environment`."""
    return results_dir / environment_name(environment) / f"{name}.json"


def read_result(path: Path) -> dict[str, Any] | None:
    """Read the results in `path`; None if there is no such file.

    Raises:
        RunError: the file is damaged.
    """
    try:
        document = json.loads(path.read_text())
        if not isinstance(document, dict):
            raise ValueError("not an object")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} is damaged ({error}); restore it, or remove it and measure again") from error
    return document


def write_result(path: Path, document: Mapping[str, Any]) -> None:
    """Write results to `path`.

    Raises:
        StorageError: it cannot be written; the former results stay.
    """
    atomic.write_text(path, json.dumps(document, indent=1) + "\n")


def load_results(results_dir: Path, kind: str) -> list[dict[str, Any]]:
    """All documents of `kind`: `recipe`, `grid` or `zoo`.

    They are ordered by environment and name, and carry their `environment_name`.

    Raises:
        RunError: one of them is damaged.
    """
    documents = []
    for path in sorted(results_dir.glob("*/*.json")):
        document = read_result(path)
        if document is not None and document.get("schema") == SCHEMA_VERSION and document.get("kind") == kind:
            documents.append({**document, "environment_name": path.parent.name})
    return documents
