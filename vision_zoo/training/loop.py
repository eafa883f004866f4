"""The training loop."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vision_zoo.errors import TrainingError
from vision_zoo.progress import Progress
from vision_zoo.training.augment import augment
from vision_zoo.training.checkpoint import TrainingState
from vision_zoo.training.datasets.dataset import Split
from vision_zoo.training.evaluate import evaluate
from vision_zoo.training.loader import Loader
from vision_zoo.training.loss import loss_function
from vision_zoo.training.optim import set_learning_rate
from vision_zoo.training.recipe import Recipe


@dataclass(frozen=True)
class ScoredSplits:
    """Splits that are scored after every epoch.

    `validation` decides early stopping and which weights are best. `test` is for the curve alone and its
    time does not count.
    """

    validation: Split | None = None
    test: Split | None = None


def fit(
    model: nn.Module,
    state: TrainingState,
    recipe: Recipe,
    loader: Loader,
    scored: ScoredSplits,
    *,
    progress: Progress,
    after_epoch: Callable[[], None],
) -> None:
    """Train from `state.epoch` to the recipe's end, its caps or early stopping; `after_epoch` saves.

    `model` takes the loader's batches and gives logits; the optimizer of `state` holds its parameters.

    Raises:
        TrainingError: the loss is no longer finite; the last saved epoch stays.
    """
    while state.epoch < recipe.epochs and not _stopped_early(state, recipe) and not _capped(state, recipe):
        progress.start(f"epoch {state.epoch + 1}/{recipe.epochs}", len(loader))
        set_learning_rate(state.optimizer, recipe.learning_rate_at(state.epoch))
        started, cpu_started = time.perf_counter(), time.process_time()
        record = _train_epoch(model, state, recipe, loader, progress)
        if scored.validation is not None:
            score = evaluate(model, scored.validation, loss_function(recipe))
            record |= {"validation_loss": score.loss, "validation_accuracy": score.accuracy}
        state.train_seconds += time.perf_counter() - started
        state.cpu_seconds += time.process_time() - cpu_started
        if scored.test is not None:
            score = evaluate(model, scored.test, loss_function(recipe))
            record |= {"test_loss": score.loss, "test_accuracy": score.accuracy}
        record |= {"steps": state.steps, "seconds": round(state.train_seconds, 3)}
        state.history.append(record)
        state.epoch += 1
        if scored.validation is None or record["validation_loss"] < state.best_validation_loss:
            state.remember_best(record.get("validation_loss", math.inf))
        after_epoch()
        progress.line(_describe(record, recipe))


def _train_epoch(
    model: nn.Module, state: TrainingState, recipe: Recipe, loader: Loader, progress: Progress
) -> dict[str, float]:
    model.train()
    device = loader.labels.device
    # Summed on the device: reading a value back after every step would stall it.
    total_loss = torch.zeros((), device=device, dtype=torch.float64)
    total_correct = torch.zeros((), device=device, dtype=torch.int64)
    images_seen = 0
    started = time.perf_counter()
    loss_of = loss_function(recipe)
    generator = _augmentation_generator(recipe, state.epoch)
    for images, labels in loader.epoch(state.epoch):
        logits = model(_augmented(images, recipe, generator))
        loss = loss_of(logits, labels)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        state.optimizer.step()
        total_loss += loss.detach() * len(labels)
        total_correct += (logits.detach().argmax(dim=1) == labels).sum()
        images_seen += len(labels)
        state.steps += 1
        progress.advance()
        if _capped(state, recipe, time.perf_counter() - started):
            break
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


def _augmentation_generator(recipe: Recipe, epoch: int) -> torch.Generator:
    # A stream of its own for every epoch, as the order of the batches has: a resumed run draws the same.
    return torch.Generator().manual_seed(recipe.seed * 100_003 + epoch + 50_000)


def _augmented(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    return images if recipe.augmentation is None else augment(images, recipe.augmentation, generator)


def _stopped_early(state: TrainingState, recipe: Recipe) -> bool:
    return recipe.patience is not None and state.epoch - state.best_epoch >= recipe.patience


def _capped(state: TrainingState, recipe: Recipe, seconds_of_epoch: float = 0.0) -> bool:
    if recipe.max_steps is not None and state.steps >= recipe.max_steps:
        return True
    return (
        recipe.max_minutes is not None and state.train_seconds + seconds_of_epoch >= recipe.max_minutes * 60
    )


def _describe(record: dict[str, float], recipe: Recipe) -> str:
    scored = [split for split in ("train", "validation", "test") if f"{split}_loss" in record]
    figures = [
        f"{split} loss {record[f'{split}_loss']:.4f} acc {record[f'{split}_accuracy']:.2%}"
        for split in scored
    ]
    return "  ".join([f"epoch {record['epoch']}/{recipe.epochs}", *figures, f"{record['seconds']:.1f} s"])
