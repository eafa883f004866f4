"""One training step: new weights, the loss, and the number of correct images."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training.augment import AugmentParams, apply_augmentation
from vision_zoo.training.distributed import ALONE, World
from vision_zoo.training.loader import Batch
from vision_zoo.training.optim import loss_function


class StepResult(NamedTuple):
    """The mean loss of the batch, float32, and the number of its images that were right, int64: scalars on the device."""

    loss: Tensor
    correct: Tensor


Step = Callable[[Batch, AugmentParams | None], StepResult]
"""Takes a batch and what its augmentation has drawn for it, on its device, if there is one."""


class EagerStep:
    """Forward, backward and the optimizer's step, one operator after the other.

    `model` takes the batches' images, changed where there are changes, and gives logits. With several processes it
    averages their gradients, and the loss is weighted so that the average is the whole batch's mean. `class_weights` are
    float32 `[classes]`.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        *,
        here: World = ALONE,
        class_weights: Tensor | None = None,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self._here = here
        self._bf16 = recipe.precision == "bf16"
        self._loss_of = loss_function(recipe, class_weights)

    def __call__(self, batch: Batch, changes: AugmentParams | None) -> StepResult:
        images = batch.images if changes is None else apply_augmentation(batch.images, changes)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self._bf16):
            logits = self.model(images)
        logits = logits.float()
        loss = self._loss_of(logits, batch.labels)
        if self._here.size > 1:
            # Gradients are averaged over processes, whose shares may differ by an image.
            loss = loss * (len(batch.labels) * self._here.size / batch.size)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        correct = (logits.detach().argmax(dim=1) == batch.labels).sum()
        return StepResult(loss.detach(), correct)
