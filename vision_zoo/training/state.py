"""The state of a run, down to the step."""

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from vision_zoo.core.results import EpochRecord
from vision_zoo.core.tables import counted
from vision_zoo.training.optim import WeightAverage


@dataclass(eq=False)
class PartialEpoch:
    """The epoch that is being trained: what its batches gave so far.

    `losses` holds each batch's mean loss as a tensor on the device, unread: reading a value back after every step
    would stall a GPU. `augmentation` is the random state that the next batch's augmentation starts from.
    """

    losses: list[Tensor] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    correct: Tensor | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    augmentation: Tensor | None = None

    @property
    def batches(self) -> int:
        """Steps done in this epoch."""
        return len(self.sizes)

    def add(self, loss: Tensor, correct: Tensor, images: int) -> None:
        """Count a batch of so many images: its mean loss and how many were right, both left on their device."""
        self.losses.append(loss)
        self.correct = correct if self.correct is None else self.correct + correct
        self.sizes.append(images)

    def all_losses(self) -> Tensor:
        """float64 `[batches]` on the CPU."""
        return torch.stack(self.losses).double().cpu() if self.losses else torch.zeros(0, dtype=torch.float64)

    def first_bad_batch(self) -> tuple[int, float] | None:
        """The number, from 1, and the loss of the first batch whose loss is not finite."""
        losses = self.all_losses()
        bad = (~losses.isfinite()).nonzero()
        return None if len(bad) == 0 else (int(bad[0]) + 1, float(losses[bad[0]]))

    def mean_loss(self) -> float:
        """Over the images so far."""
        weights = torch.tensor(self.sizes, dtype=torch.float64)
        return float((self.all_losses() * weights).sum() / weights.sum())

    def accuracy(self) -> float:
        """The share of the images so far that were right, as the network was when it saw them."""
        return 0.0 if self.correct is None else self.correct.item() / sum(self.sizes)


@dataclass(eq=False)
class TrainingState:
    """What a run has reached.

    `epoch` and `steps` are the numbers of epochs and optimizer steps done, `partial` is the epoch after that where
    it has begun; `train_seconds` is spent on the training steps and validation of the epochs done, over all
    sessions, and `cpu_seconds` is the processors' time in it; `best_weights` is None until an epoch was the best one.
    `average` is that of the weights, where the recipe has one.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    epoch: int = 0
    steps: int = 0
    train_seconds: float = 0.0
    cpu_seconds: float = 0.0
    history: list[EpochRecord] = field(default_factory=list)
    best_epoch: int = 0
    best_validation_loss: float = math.inf
    best_weights: dict[str, Tensor] | None = None
    partial: PartialEpoch | None = None
    average: WeightAverage | None = None

    def scored_weights(self) -> AbstractContextManager[None]:
        """In the block the network has the weights that are scored and kept: their average, where there is one."""
        return nullcontext() if self.average is None else self.average.in_place()

    def remember_best(self, validation_loss: float) -> None:
        """The weights that are scored now are the ones to keep."""
        self.best_epoch = self.epoch
        self.best_validation_loss = validation_loss
        with self.scored_weights():
            self.best_weights = {
                name: tensor.detach().to("cpu", copy=True)
                for name, tensor in self.network.state_dict().items()
            }

    @property
    def reached(self) -> str:
        """`3 epochs and 57 steps of the next`."""
        epochs = counted(self.epoch, "epoch")
        if self.partial is None or not self.partial.batches:
            return epochs
        return f"{epochs} and {counted(self.partial.batches, 'step')} of the next"
