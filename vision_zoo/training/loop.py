"""The training loop."""

import math
import time
from collections.abc import Callable

import torch
from torch.nn import functional

from vision_zoo.errors import TrainingError
from vision_zoo.progress import Progress
from vision_zoo.training.checkpoint import TrainingState
from vision_zoo.training.classifier import ImageClassifier
from vision_zoo.training.datasets.dataset import Split
from vision_zoo.training.evaluate import evaluate
from vision_zoo.training.loader import Loader
from vision_zoo.training.recipe import Recipe


def fit(
    classifier: ImageClassifier,
    state: TrainingState,
    recipe: Recipe,
    loader: Loader,
    *,
    validation: Split | None,
    test: Split | None,
    progress: Progress,
    after_epoch: Callable[[], None],
) -> None:
    """Train from `state.epoch` to the recipe's end, or until early stopping; `after_epoch` saves.

    `validation` decides early stopping and which weights are best. `test`, where given, is scored after
    every epoch for the curve alone and its time does not count.

    Raises:
        TrainingError: the loss is no longer finite; the last saved epoch stays.
    """
    while state.epoch < recipe.epochs and not _stopped_early(state, recipe):
        progress.start(f"epoch {state.epoch + 1}/{recipe.epochs}", len(loader))
        started = time.perf_counter()
        record = _train_epoch(classifier, state, loader, progress)
        if validation is not None:
            scored = evaluate(classifier, validation)
            record |= {"validation_loss": scored.loss, "validation_accuracy": scored.accuracy}
        state.train_seconds += time.perf_counter() - started
        if test is not None:
            scored = evaluate(classifier, test)
            record |= {"test_loss": scored.loss, "test_accuracy": scored.accuracy}
        record["seconds"] = round(state.train_seconds, 3)
        state.history.append(record)
        state.epoch += 1
        if validation is None or record["validation_loss"] < state.best_validation_loss:
            state.remember_best(record.get("validation_loss", math.inf))
        after_epoch()
        progress.line(_describe(record, recipe))


def _train_epoch(
    classifier: ImageClassifier, state: TrainingState, loader: Loader, progress: Progress
) -> dict[str, float]:
    classifier.train()
    device = loader.labels.device
    # Summed on the device: reading a value back after every step would stall it.
    total_loss = torch.zeros((), device=device, dtype=torch.float64)
    total_correct = torch.zeros((), device=device, dtype=torch.int64)
    for images, labels in loader.epoch(state.epoch):
        logits = classifier(images)
        loss = functional.cross_entropy(logits, labels)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        state.optimizer.step()
        total_loss += loss.detach() * len(labels)
        total_correct += (logits.detach().argmax(dim=1) == labels).sum()
        progress.advance()
    images_seen = len(loader.labels)
    mean_loss = total_loss.item() / images_seen
    if not math.isfinite(mean_loss):
        raise TrainingError(
            f"the loss became {mean_loss} in epoch {state.epoch + 1}: the last good epoch ({state.epoch}) is kept; "
            "train again with a lower --lr and another --out"
        )
    return {
        "epoch": state.epoch + 1,
        "train_loss": mean_loss,
        "train_accuracy": total_correct.item() / images_seen,
    }


def _stopped_early(state: TrainingState, recipe: Recipe) -> bool:
    return recipe.patience is not None and state.epoch - state.best_epoch >= recipe.patience


def _describe(record: dict[str, float], recipe: Recipe) -> str:
    scored = [split for split in ("train", "validation", "test") if f"{split}_loss" in record]
    figures = [
        f"{split} loss {record[f'{split}_loss']:.4f} acc {record[f'{split}_accuracy']:.2%}"
        for split in scored
    ]
    return "  ".join([f"epoch {record['epoch']}/{recipe.epochs}", *figures, f"{record['seconds']:.1f} s"])
