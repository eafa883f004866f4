"""The whole pipeline in a minute: train → export → verify → evaluate → measure → predict."""

import io
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vision_zoo.benchmark import BenchmarkSettings, benchmark
from vision_zoo.core import atomic, json_file
from vision_zoo.core.benchmark_row import BenchmarkRow
from vision_zoo.core.environment import Environment, describe
from vision_zoo.core.errors import Interrupted, RunError
from vision_zoo.core.progress import Progress
from vision_zoo.core.tables import counted
from vision_zoo.data import find_dataset
from vision_zoo.exporting.export import export_onnx
from vision_zoo.recipes import find_recipe
from vision_zoo.serving.evaluate import evaluate
from vision_zoo.serving.predict import classify_file
from vision_zoo.serving.session import Session
from vision_zoo.training import train

RECIPE = "simple_cnn-mnist_5k"
_CHANGES = {"epochs": 4, "schedule": "one_cycle", "learning_rate": 0.005}
"""With these the recipe needs 4 epochs instead of 10 for the same accuracy."""
_MARKER = "quickstart.json"
_EXPORTED = {f"{RECIPE}.onnx", "manifest.json", ".manifest.lock"}
_BENCHMARK = BenchmarkSettings(providers=("cpu",), batch_sizes=(1, 64), against=("torch",), seconds=0.25)


@dataclass(frozen=True, slots=True)
class PredictedImage:
    """An image, and the probabilities of its labels, the most probable first."""

    image: str
    label: str
    probabilities: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuickstartResult:
    """quickstart.json. Accuracies are fractions of `images` test images."""

    seconds: float
    run: str
    epochs: int
    train_seconds: float
    model: str
    bytes: int
    argmax_agreement: float
    max_logit_difference: float
    test_accuracy: float
    images: int
    benchmark: Sequence[BenchmarkRow]
    prediction: PredictedImage
    true_label: str
    environment: Environment


def quickstart(folder: Path, progress: Progress) -> QuickstartResult:
    """Run all steps inside `folder`, replacing an earlier quickstart, and return the measurements.

    Raises:
        RunError: `folder` contains something other than a quickstart.
        VisionZooError: a step failed.
    """
    started = time.perf_counter()
    _begin(folder)
    recipe = find_recipe(RECIPE).override(**_CHANGES)
    dataset = find_dataset(recipe.data.dataset)
    try:
        run = train.start(recipe, folder / "run", device="auto", data_dir=None, progress=progress)
    except Interrupted as error:
        raise Interrupted("interrupted; the next quickstart starts over") from error
    progress.line("exporting to ONNX and verifying the file on every test image")
    exported = export_onnx(run.path, folder / "exported", progress=progress)
    session = Session(exported.path, provider="cpu")
    test = dataset.load().test
    score = evaluate(session, test.images, test.labels, dataset.labels, progress)
    rows = list(benchmark([exported.path], _BENCHMARK, progress))
    image = folder / "digit.png"
    middle = len(test) // 2
    _write_test_image(test.images[middle], image)
    result = QuickstartResult(
        seconds=round(time.perf_counter() - started, 1),
        run=str(run.path),
        epochs=run.epochs,
        train_seconds=run.train_seconds,
        model=str(exported.path),
        bytes=session.size,
        argmax_agreement=exported.verification.argmax_agreement,
        max_logit_difference=exported.verification.max_logit_difference,
        test_accuracy=score.accuracy,
        images=score.images,
        benchmark=rows,
        prediction=PredictedImage(**classify_file(session, image)),
        true_label=dataset.labels[test.labels[middle]],
        environment=describe(),
    )
    json_file.write(folder / _MARKER, result, indent=2)
    return result


def summary(result: QuickstartResult) -> list[dict[str, str]]:
    """Format what `quickstart` returned as rows to print."""
    prediction = result.prediction
    return [
        {
            "step": "train",
            "result": f"{counted(result.epochs, 'epoch')} in {result.train_seconds:.1f} s → {result.run}",
        },
        {"step": "export", "result": f"{result.model}, {result.bytes / 2**20:.1f} MiB"},
        {
            "step": "verify",
            "result": f"{result.argmax_agreement:.2%} argmax agreement with the checkpoint, "
            f"logits within {result.max_logit_difference:.1e}",
        },
        {
            "step": "evaluate",
            "result": f"{result.test_accuracy:.1%} of {result.images:,} test images correct, in ONNX Runtime",
        },
        *({"step": "measure", "result": line} for line in _latency_lines(result.benchmark)),
        {
            "step": "predict",
            "result": f"{prediction.image}: {prediction.label}, "
            f"probability {prediction.probabilities[prediction.label]:.4f} (true label {result.true_label})",
        },
    ]


def next_steps(result: QuickstartResult) -> list[str]:
    """Commands to try after the quickstart."""
    program = "vision-zoo" if shutil.which("vision-zoo") else os.path.relpath(sys.argv[0])
    return [
        f"{program} predict {result.model} {result.prediction.image}",
        f"{program} demo --models-dir {Path(result.model).parent}",
        f"{program} list recipes",
        f"{program} train simple_cnn-mnist",
    ]


def _latency_lines(rows: Sequence[BenchmarkRow]) -> list[str]:
    ours = {row.batch: row for row in rows if row.engine == "onnxruntime"}
    eager = {row.batch: row for row in rows if row.engine == "torch"}
    return [
        f"batch {batch}, one thread: {row.p50_ms:.3f} ms (p50), eager torch {eager[batch].p50_ms:.3f} ms, "
        f"{eager[batch].ratio:.1f}x"
        for batch, row in ours.items()
    ]


def _begin(folder: Path) -> None:
    """Clear an earlier quickstart away and mark `folder` as one, so that an interrupted one can be replaced."""
    marker = folder / _MARKER
    run, exported = folder / "run", folder / "exported"
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not (marker.is_file() and _is_ours(run) and _names(exported) <= _EXPORTED):
            raise RunError(
                f"{folder} exists and contains something other than an earlier quickstart; choose another --out"
            )
        try:
            for part in (run, exported):
                if part.exists():
                    shutil.rmtree(part)
        except OSError as error:
            raise atomic.storage_error(folder, error) from error
    atomic.write_text(marker, "{}\n")


@dataclass(frozen=True, slots=True)
class _Named:
    name: str


def _is_ours(run: Path) -> bool:
    try:
        recipe = json_file.read_if_present(run / "recipe.json", _Named)
    except RunError:
        return False
    return _names(run) <= {".lock", "environment.json"} if recipe is None else recipe.name == RECIPE


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def _write_test_image(pixels: np.ndarray[Any, np.dtype[np.uint8]], path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(buffer, format="PNG")
    atomic.write_bytes(path, buffer.getvalue())
