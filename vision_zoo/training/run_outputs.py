"""Outputs of a finished run: metrics, predictions, plots, TensorBoard scalars."""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_zoo.core import atomic
from vision_zoo.core.class_metrics import ClassMetrics, class_metrics, top_accuracy
from vision_zoo.core.errors import RunError
from vision_zoo.core.event_file import EventFile, encode
from vision_zoo.core.predictions_file import ImagePredictions, image_predictions, write_predictions
from vision_zoo.core.statistics import confusion_matrix
from vision_zoo.data.dataset import Dataset, Split, Splits
from vision_zoo.data.own_folder import is_own_folder
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training import plots
from vision_zoo.training.classifier import ImageClassifier, count_parameters
from vision_zoo.training.evaluate import Evaluation
from vision_zoo.training.optim import scored_loss
from vision_zoo.training.run_directory import RunDirectory, RunMetrics
from vision_zoo.training.run_report import report_page
from vision_zoo.training.state import PartialEpoch, TrainingState

_TAGS = {
    "train_accuracy": "train_accuracy",
    "validation_loss": "val_loss",
    "validation_accuracy": "val_accuracy",
    "test_loss": "test_loss",
    "test_accuracy": "test_accuracy",
}
"""Names of scalars by the fields of an epoch's record."""
_SCORED_BATCH = 1000
"""Images in the batches of validation and test that a total loss is summed over, as report B has it."""


class Scalars:
    """What TensorBoard shows of a run, written as it trains: the loss of every step, and the scores of epochs.

    Names are those of report E; a score stands at the last step of its epoch.
    """

    def __init__(self, folder: Path, state: TrainingState) -> None:
        self._state = state
        self._file = EventFile(folder, after=state.steps)
        self._steps, self._epochs = state.steps, state.epoch

    def write(self, partial: PartialEpoch) -> None:
        """Write what is new: the last steps of `partial`, and epochs that ended.

        Raises:
            StorageError: the file cannot be written.
        """
        state, records = self._state, []
        new = state.steps - self._steps
        if new:
            steps = range(self._steps + 1, state.steps + 1)
            records.append(encode("train_loss", steps, partial.all_losses()[-new:].tolist()))
        for epoch in state.history[self._epochs :]:
            values = {tag: getattr(epoch, measure) for measure, tag in _TAGS.items()}
            records += [
                encode(tag, [epoch.steps], [value]) for tag, value in values.items() if value is not None
            ]
        self._steps, self._epochs = state.steps, state.epoch
        if records:
            self._file.append(b"".join(records))

    def write_test(self, score: Evaluation) -> None:
        """Write the score of a test split that is looked at once.

        Raises:
            StorageError: the file cannot be written.
        """
        at = [self._state.steps]
        self._file.append(
            encode("test_loss", at, [score.loss]) + encode("test_accuracy", at, [score.accuracy])
        )


@dataclass(frozen=True)
class TrainResult:
    """A finished run. `test_accuracy` is a fraction; `epochs` is how many were trained.

    `top_5_accuracy` is None for five classes or fewer; it and `classes` are missing in runs of earlier versions.
    """

    path: Path
    recipe: str
    test_accuracy: float
    train_seconds: float
    epochs: int
    top_5_accuracy: float | None = None
    classes: tuple[ClassMetrics, ...] = ()


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
    """Write the pictures and, last, the metrics, whose presence makes the run finished."""
    test = scores["test"]
    plots.write_curves(run.path / "curves.png", state.history, title=recipe.name)
    matrix = confusion_matrix(np.asarray(splits.test.labels), test.predictions, len(dataset.labels))
    plots.write_confusion_matrix(run.path / "confusion_matrix.png", matrix, dataset.labels, title=recipe.name)
    plots.write_samples(
        run.path / "samples.png", splits.test, test.predictions, dataset.labels, title=recipe.name
    )
    write_predictions(run.predictions_file, predicted(splits.test, test))
    measures: dict[str, Any] = {
        f"{name}_{measure}": getattr(score, measure)
        for name, score in scores.items()
        for measure in ("accuracy", "loss")
    }
    for name, score in scores.items():
        batch = recipe.batch_size if name == "train" else _SCORED_BATCH
        measures[f"{name}_loss_total"] = round(score.loss_total(scored_loss(recipe), batch), 5)
    metrics = RunMetrics(
        **measures,
        train_seconds=round(state.train_seconds, 3),
        cpu_seconds=round(state.cpu_seconds, 3),
        feature_seconds=round(seconds["feature_seconds"], 3),
        inference_seconds=round(seconds["inference_seconds"], 3),
        epochs=state.epoch,
        steps=state.steps,
        best_epoch=state.best_epoch,
        test_images=len(test.logits),
        test_top_5_accuracy=top_accuracy(test.logits, test.labels),
        parameters=count_parameters(classifier.network),
        classes=class_metrics(matrix, dataset.labels),
        confusion_matrix=matrix.tolist(),
    )
    if is_own_folder(recipe.data.dataset):
        page = report_page(
            recipe, dataset, splits.test, run.history(), run.predictions(), metrics, run.environment()
        )
        atomic.write_text(run.report_file, page)
    run.write_metrics(metrics)


def predicted(split: Split, scored: Evaluation) -> ImagePredictions:
    """What was predicted for each image of `split`."""
    files = [file.name for file in split.files] or [str(index) for index in range(len(split))]
    return image_predictions(split.labels, scored.logits, files)


def write_cross_validation(
    run: RunDirectory, training: Split, indices: NDArray[np.int64], scored: Evaluation
) -> None:
    """Write what was predicted for the training images at `indices` by layers that were fitted without them."""
    write_predictions(run.cross_validation_file, predicted(training.take(indices), scored))
    content = io.BytesIO()
    np.savez(content, indices=indices, logits=scored.logits)
    atomic.write_bytes(run.cross_validation_logits, content.getvalue())


def cross_validated(run: RunDirectory, training: Split) -> tuple[Split, NDArray[np.float32]] | None:
    """The training images of the run's cross-validation and their logits float32 `[images, classes]`; None without one.

    Runs of earlier versions kept no logits.

    Raises:
        RunError: the file is damaged.
    """
    path = run.cross_validation_logits
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            indices, logits = stored["indices"], stored["logits"].astype(np.float32)
        return training.take(indices), logits
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(
            f"{path} is damaged ({error}); restore it, or remove it to export without it"
        ) from error


def finished(run: RunDirectory) -> TrainResult:
    """What `run` reached.

    Raises:
        RunError: its metrics are damaged.
    """
    reached = run.outcome()
    return TrainResult(
        path=run.path,
        recipe=run.recipe().name,
        test_accuracy=reached.test_accuracy,
        train_seconds=reached.train_seconds,
        epochs=reached.epochs,
        top_5_accuracy=reached.test_top_5_accuracy,
        classes=tuple(reached.classes),
    )
