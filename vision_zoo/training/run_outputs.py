"""Outputs of a finished run: metrics, predictions, plots, TensorBoard scalars."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vision_zoo.core import atomic
from vision_zoo.core.json_file import fields_of
from vision_zoo.core.results import EpochRecord
from vision_zoo.data.dataset import Dataset, Split, Splits
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training import plots
from vision_zoo.training.classifier import ImageClassifier, count_parameters
from vision_zoo.training.evaluate import Evaluation, confusion_matrix
from vision_zoo.training.optim import scored_loss
from vision_zoo.training.run_directory import RunDirectory, RunMetrics
from vision_zoo.training.state import TrainingState

_SCORED_BATCH = 1000
"""Images in the batches of validation and test that a total loss is summed over, as report B has it."""


def write_scalars(folder: Path, history: Sequence[EpochRecord]) -> None:
    """Write every column of `history` as a scalar over epochs, replacing what `folder` held.

    Raises:
        StorageError: the folder cannot be written.
    """
    from torch.utils.tensorboard import SummaryWriter

    # TensorBoard writes from a thread of its own, whose failure nobody could catch: not into the run's folder.
    with tempfile.TemporaryDirectory() as temporary:
        with SummaryWriter(temporary) as writer:
            for record in history:
                for name, value in fields_of(record).items():
                    if name not in ("epoch", "steps", "seconds"):
                        writer.add_scalar(name, value, record.epoch)
        events = [(path.name, path.read_bytes()) for path in Path(temporary).iterdir()]
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in events:
        atomic.write_bytes(folder / name, content)


@dataclass(frozen=True)
class TrainResult:
    """A finished run. `test_accuracy` is a fraction; `epochs` is how many were trained."""

    path: Path
    recipe: str
    test_accuracy: float
    train_seconds: float
    epochs: int


def write_outcome(
    run: RunDirectory,
    recipe: Recipe,
    dataset: Dataset,
    splits: Splits,
    classifier: ImageClassifier,
    state: TrainingState,
    scores: dict[str, Evaluation],
    seconds: dict[str, float],
) -> None:
    """Write the curves, the pictures and, last, the metrics, whose presence makes the run finished."""
    test = scores["test"]
    write_scalars(run.tensorboard, state.history)
    plots.write_curves(run.path / "curves.png", state.history, title=recipe.name)
    matrix = confusion_matrix(np.asarray(splits.test.labels), test.predictions, len(dataset.labels))
    plots.write_confusion_matrix(run.path / "confusion_matrix.png", matrix, dataset.labels, title=recipe.name)
    plots.write_samples(
        run.path / "samples.png", splits.test, test.predictions, dataset.labels, title=recipe.name
    )
    write_predictions(run, splits.test, test)
    measures: dict[str, Any] = {
        f"{name}_{measure}": getattr(score, measure)
        for name, score in scores.items()
        for measure in ("accuracy", "loss")
    }
    for name, score in scores.items():
        batch = recipe.batch_size if name == "train" else _SCORED_BATCH
        measures[f"{name}_loss_total"] = round(score.loss_total(scored_loss(recipe), batch), 5)
    run.write_metrics(
        RunMetrics(
            **measures,
            train_seconds=round(state.train_seconds, 3),
            cpu_seconds=round(state.cpu_seconds, 3),
            feature_seconds=round(seconds["feature_seconds"], 3),
            inference_seconds=round(seconds["inference_seconds"], 3),
            epochs=state.epoch,
            steps=state.steps,
            best_epoch=state.best_epoch,
            test_images=len(test.logits),
            parameters=count_parameters(classifier.network),
            confusion_matrix=matrix.tolist(),
        )
    )


def write_predictions(run: RunDirectory, split: Split, scored: Evaluation) -> None:
    """Write what was predicted for each image of `split`."""
    logits = scored.logits.astype(np.float64)
    confidences = 1 / np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)
    files = [file.name for file in split.files] or [str(index) for index in range(len(split))]
    run.write_predictions(np.asarray(split.labels), scored.predictions, confidences, files)


def finished(run: RunDirectory) -> TrainResult:
    """What `run` reached.

    Raises:
        RunError: its metrics are damaged.
    """
    reached = run.outcome()
    return TrainResult(
        run.path, run.recipe().name, reached.test_accuracy, reached.train_seconds, reached.epochs
    )
