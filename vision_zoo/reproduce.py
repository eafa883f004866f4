"""Repeating a published experiment: train, export, score the exported file, keep the figures."""

import json
import re
from pathlib import Path
from typing import Any

from vision_zoo import atomic, environment
from vision_zoo.benchmark import BenchmarkSettings, benchmark
from vision_zoo.errors import RunError
from vision_zoo.progress import Progress
from vision_zoo.serving.evaluate import evaluate
from vision_zoo.serving.session import Session
from vision_zoo.training import train
from vision_zoo.training.datasets import find_dataset
from vision_zoo.training.device import DeviceName
from vision_zoo.training.export import export_onnx
from vision_zoo.training.recipe import Recipe
from vision_zoo.training.run_directory import RunDirectory

SCHEMA_VERSION = 1
_BENCHMARK = BenchmarkSettings(against=("torch",))


def reproduce(
    recipe: Recipe,
    *,
    models_dir: Path,
    results_dir: Path,
    device: DeviceName,
    data_dir: Path | None,
    progress: Progress,
) -> Path:
    """Train (or resume) `recipe`, export it to `models_dir` and write its figures; returns the figures' file.

    The file is `<results_dir>/<environment>/<recipe>.json`, replaced if it exists. The accuracy is the
    exported file's, measured through ONNX Runtime on the whole test split.

    Raises:
        VisionZooError: whatever a step meets.
    """
    path = train.default_path(recipe)
    if (path / "recipe.json").exists():
        if RunDirectory.open(path).recipe() != recipe:
            raise RunError(
                f"{path} holds a run with other settings than {recipe.name}; move it away and try again"
            )
        progress.line(f"using the run in {path}; remove it to train again")
        run = train.resume(path, device=device, data_dir=data_dir, progress=progress)
    else:
        run = train.start(recipe, path, device=device, data_dir=data_dir, progress=progress)
    exported = export_onnx(run.path, models_dir, data_dir=data_dir)
    session = Session(exported.path)
    dataset = find_dataset(recipe.dataset)
    splits = dataset.load(data_dir)
    score = evaluate(session, splits.test.images, splits.test.labels, dataset.labels, progress)
    metrics = RunDirectory.open(run.path).metrics()
    trained_on = RunDirectory.open(run.path).environment()
    document: dict[str, Any] = {
        "schema": SCHEMA_VERSION,
        "recipe": recipe.name,
        "report": recipe.report,
        "reported": dict(recipe.reported),
        "data": {"dataset": dataset.name, "variant": splits.variant, "sha256": splits.sha256},
        "environment": {key: value for key, value in trained_on.items() if key not in ("data", "data_dir")},
        "runs": [
            {
                "seed": recipe.seed,
                "epochs": run.epochs,
                "parameters": metrics["parameters"],
                "train_seconds": run.train_seconds,
                "inference_seconds": metrics["inference_seconds"],
                "test_accuracy": run.test_accuracy,
                "onnx_test_accuracy": score.accuracy,
                "test_images": score.images,
                "argmax_agreement": exported.proof.argmax_agreement,
                "max_logit_difference": exported.proof.max_logit_difference,
                "onnx_bytes": session.size,
            }
        ],
        "benchmark": {
            "environment": environment.describe(),
            "rows": benchmark([exported.path], _BENCHMARK, progress),
        },
    }
    target = results_dir / environment_name(document["environment"]) / f"{recipe.name}.json"
    atomic.write_text(target, json.dumps(document, indent=2) + "\n")
    return target


def environment_name(described: dict[str, Any]) -> str:
    """A folder name for an environment: its GPU, or its CPU and how many cores were used."""
    hardware = described.get("gpu") or f"{described['cpu']} {described['cores']} cores"
    return re.sub(r"[^a-z0-9]+", "-", hardware.lower()).strip("-")
