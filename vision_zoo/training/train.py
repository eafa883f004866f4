"""A training run from recipe to finished run directory."""

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vision_zoo import environment
from vision_zoo.errors import Interrupted, RunError, StorageError
from vision_zoo.progress import Progress
from vision_zoo.training import plots
from vision_zoo.training.checkpoint import (
    TrainingState,
    load_state,
    load_weights,
    save_state,
    save_weights,
)
from vision_zoo.training.classifier import ImageClassifier, build_classifier, count_parameters
from vision_zoo.training.datasets import find_dataset
from vision_zoo.training.datasets.dataset import Dataset, Split, Splits
from vision_zoo.training.datasets.split import stratified_holdout
from vision_zoo.training.device import DeviceName, choose_device, full_precision
from vision_zoo.training.evaluate import Evaluation, confusion_matrix, evaluate
from vision_zoo.training.loader import Loader
from vision_zoo.training.loop import fit
from vision_zoo.training.optim import build_optimizer
from vision_zoo.training.recipe import Recipe
from vision_zoo.training.run_directory import RunDirectory
from vision_zoo.training.tensorboard import write_scalars


@dataclass(frozen=True)
class TrainedRun:
    """A finished run. `test_accuracy` is a fraction; `epochs` is how many were trained."""

    path: Path
    recipe: str
    test_accuracy: float
    train_seconds: float
    epochs: int


def start(
    recipe: Recipe, path: Path, *, device: DeviceName, data_dir: Path | None, progress: Progress
) -> TrainedRun:
    """Train `recipe` in a new run directory.

    Raises:
        DataError, DeviceError, RunError, StorageError, TrainingError, Interrupted
    """
    run = RunDirectory(path)
    run.require_free()
    chosen = choose_device(device)
    dataset = find_dataset(recipe.dataset)
    splits = dataset.load(data_dir)
    build_classifier(recipe, dataset)  # refuses an architecture that does not work on this dataset
    with run.locked(), _saying_how_to_resume(run, recipe):
        run.create(recipe, _environment(chosen, splits, data_dir))
        return _train(run, recipe, dataset, splits, chosen, progress)


def resume(path: Path, *, device: DeviceName, data_dir: Path | None, progress: Progress) -> TrainedRun:
    """Continue an interrupted run in place; a finished one is returned as it is.

    Raises:
        DataError, DeviceError, RunError, StorageError, TrainingError, Interrupted
    """
    run = RunDirectory.open(path)
    recipe = run.recipe()
    if run.finished:
        progress.line(f"{path} is already finished")
        return _finished(run)
    recorded = run.environment()
    if data_dir is None and recorded.get("data_dir"):
        data_dir = Path(recorded["data_dir"])
    dataset = find_dataset(recipe.dataset)
    splits = dataset.load(data_dir)
    if splits.sha256 != recorded.get("data", {}).get("sha256"):
        raise RunError(
            f"the data of {recipe.dataset} is not what {path} was started on; train again with another --out"
        )
    with run.locked(), _saying_how_to_resume(run, recipe):
        return _train(run, recipe, dataset, splits, choose_device(device), progress)


def default_path(recipe: Recipe) -> Path:
    """Where a run goes when the user does not say."""
    return Path("runs") / (recipe.name if recipe.seed == 0 else f"{recipe.name}-seed{recipe.seed}")


def _train(
    run: RunDirectory,
    recipe: Recipe,
    dataset: Dataset,
    splits: Splits,
    device: torch.device,
    progress: Progress,
) -> TrainedRun:
    full_precision()
    torch.manual_seed(recipe.seed)
    classifier = build_classifier(recipe, dataset).to(device)
    classifier.network.to(memory_format=torch.channels_last)
    state = TrainingState(classifier.network, build_optimizer(recipe, classifier.network))
    train_split, validation = _hold_out_validation(splits.train, recipe)
    progress.line(
        f"training {recipe.architecture} on {len(train_split):,} images of {dataset.name} into {run.path}"
    )
    if run.last.exists():
        load_state(run.last, state, recipe)
        progress.line(f"resuming after epoch {state.epoch}")

    def after_epoch() -> None:
        save_state(run.last, state, recipe)
        run.write_history(state.history)

    fit(
        classifier,
        state,
        recipe,
        Loader(train_split, batch_size=recipe.batch_size, seed=recipe.seed, device=device),
        validation=validation,
        test=splits.test if recipe.test_curve else None,
        progress=progress,
        after_epoch=after_epoch,
    )
    progress.line("scoring the test split and drawing the curves")
    return _finish(run, recipe, dataset, splits, classifier, state)


@contextmanager
def _saying_how_to_resume(run: RunDirectory, recipe: Recipe) -> Iterator[None]:
    command = f"continue with `vision-zoo train --resume {shlex.quote(str(run.path))}`"
    try:
        yield
    except StorageError as error:
        raise StorageError(f"{error}, then {command}") from error
    except KeyboardInterrupt as error:
        saved = run.epochs_saved()
        raise Interrupted(f"interrupted; {saved} of {recipe.epochs} epochs are saved: {command}") from error


def _hold_out_validation(train: Split, recipe: Recipe) -> tuple[Split, Split | None]:
    if recipe.patience is None:
        return train, None
    held_out = round(len(train) * recipe.validation_fraction)
    kept, out = stratified_holdout(np.asarray(train.labels), held_out, seed=recipe.seed)
    return train.take(kept), train.take(out)


def _finish(
    run: RunDirectory,
    recipe: Recipe,
    dataset: Dataset,
    splits: Splits,
    classifier: ImageClassifier,
    state: TrainingState,
) -> TrainedRun:
    if state.best_weights is None:
        raise RunError(f"{run.path} has no finished epoch; train again")
    save_weights(run.best, state.best_weights)
    load_weights(run.best, classifier.network)
    started = time.perf_counter()
    test = evaluate(classifier, splits.test)
    inference_seconds = time.perf_counter() - started
    write_scalars(run.tensorboard, state.history)
    plots.write_curves(run.path / "curves.png", state.history, title=recipe.name)
    matrix = confusion_matrix(np.asarray(splits.test.labels), test.predictions, len(dataset.labels))
    plots.write_confusion_matrix(run.path / "confusion_matrix.png", matrix, dataset.labels, title=recipe.name)
    plots.write_samples(
        run.path / "samples.png", splits.test, test.predictions, dataset.labels, title=recipe.name
    )
    # Last, because its presence is what makes the run finished.
    run.write_metrics(_metrics(classifier, state, test, matrix, inference_seconds))
    return _finished(run)


def _metrics(
    classifier: ImageClassifier,
    state: TrainingState,
    test: Evaluation,
    matrix: np.ndarray[Any, np.dtype[np.int64]],
    inference_seconds: float,
) -> dict[str, Any]:
    return {
        "test_accuracy": test.accuracy,
        "test_loss": test.loss,
        "test_images": len(test.logits),
        "train_seconds": round(state.train_seconds, 3),
        "inference_seconds": round(inference_seconds, 3),
        "epochs": state.epoch,
        "best_epoch": state.best_epoch,
        "parameters": count_parameters(classifier.network),
        "confusion_matrix": matrix.tolist(),
    }


def _finished(run: RunDirectory) -> TrainedRun:
    metrics = run.metrics()
    try:
        return TrainedRun(
            run.path, run.recipe().name, metrics["test_accuracy"], metrics["train_seconds"], metrics["epochs"]
        )
    except KeyError as error:
        raise RunError(f"{run.metrics_file} misses {error}; train again") from error


def _environment(device: torch.device, splits: Splits, data_dir: Path | None) -> dict[str, Any]:
    described = environment.describe()
    described["device"] = device.type
    described["threads"] = torch.get_num_threads()
    if device.type == "cuda":
        described["gpu"] = torch.cuda.get_device_name()
    described["data"] = {"variant": splits.variant, "sha256": splits.sha256}
    described["data_dir"] = str(data_dir.resolve()) if data_dir is not None else None
    return described
