"""Estimate training time before training starts."""

from collections.abc import Callable

import numpy as np
import torch

from vision_zoo.data.dataset import Splits
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training.classifier import ImageClassifier
from vision_zoo.training.device import wait_for
from vision_zoo.training.features import can_cache
from vision_zoo.training.loader import Loader, training_splits
from vision_zoo.training.optim import build_optimizer
from vision_zoo.training.speedups import apply_speedups
from vision_zoo.training.step import EagerStep

_PROBED_IMAGES, _PROBED_LARGE = 64, 4


def training_seconds(
    recipe: Recipe,
    classifier: ImageClassifier,
    splits: Splits,
    device: torch.device,
    clock: Callable[[], float],
) -> tuple[float, float]:
    """Estimates from a step or a batch: seconds before the first epoch, and of an epoch with its validation.

    `classifier` is moved to `device` and trained by two steps. `clock` gives seconds.
    """
    classifier.to(device)
    parts = training_splits(splits, recipe)
    images = sum(len(part) for part in parts.values())
    forward = _timed_forward(classifier, splits, device, clock)
    if can_cache(recipe):
        return forward * images, forward * len(parts["train"]) / 100
    apply_speedups(classifier.network, device)
    classifier.train()
    loader = Loader(parts["train"], batch_size=recipe.batch_size, seed=0, device=device)
    step = EagerStep(classifier, build_optimizer(recipe, classifier.network), recipe)
    batch = next(loader.epoch(0))
    step(batch, None)
    wait_for(device)
    started = clock()
    step(batch, None)
    wait_for(device)
    return 0.0, (clock() - started) * len(loader) + forward * len(parts.get("validation", ()))


def _timed_forward(
    classifier: ImageClassifier, splits: Splits, device: torch.device, clock: Callable[[], float]
) -> float:
    """Seconds an image."""
    large = classifier.frozen and device.type == "cpu"  # networks that take milliseconds an image
    count = _PROBED_LARGE if large else _PROBED_IMAGES
    images = torch.from_numpy(np.array(splits.train.images[:count])).to(device)
    classifier.eval()
    with torch.no_grad():
        classifier(images)
        wait_for(device)
        started = clock()
        classifier(images)
        wait_for(device)
    return (clock() - started) / len(images)
