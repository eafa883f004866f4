"""How a network is trained: when training ends, how weights change, and how fast. Needs no torch."""

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from vision_zoo.core.choices import Optimizer
from vision_zoo.recipes.settings import Group, refuse

MAX_COUNT = 1_000_000_000
"""Epochs, steps, minutes, images per step or pixels per side above which a number is a slip."""
MAX_RATE = 1e38
"""About the largest number in single precision."""

Count: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_COUNT)]
Pixels: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
Rate: TypeAlias = Annotated[float, Meta(gt=0, le=MAX_RATE)]
Part: TypeAlias = Annotated[float, Meta(gt=0, lt=1)]


@dataclass(frozen=True, kw_only=True)
class StoppingSettings(Group):
    """When training ends. `max_steps` and `max_minutes` (of training and validation) may be within an epoch.

    With `validate` or `patience`, `validation_fraction` of the training split is held out (the data's own validation
    split, where it has one) and scored after every epoch, and the best epoch's weights are kept and scored unless
    `kept_weights` says `last`; without them the last epoch's are. With `patience`, training stops after that many epochs
    without a lower validation loss.
    """

    epochs: Annotated[Count, "Passes over the training split."] = 10
    max_steps: Annotated[Count | None, "Stop after this many optimizer steps."] = None
    max_minutes: Annotated[
        Annotated[float, Meta(gt=0, le=MAX_COUNT)] | None, "Stop after this many minutes of training."
    ] = None
    patience: Annotated[Count | None, "Stop after this many epochs without a lower validation loss."] = None
    validate: Annotated[bool, "Score a validation split after every epoch, even without --patience."] = False
    kept_weights: Annotated[Literal["best", "last"], "Epoch whose weights are kept."] = "best"
    validation_fraction: Annotated[Part, "Fraction of the training split for validation."] = 0.1

    @property
    def is_validated(self) -> bool:
        """Whether a validation split is held out and scored."""
        return self.validate or self.patience is not None


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings(Group):
    """How weights change. `momentum` is SGD's and Muon's, in Nesterov's form.

    With `muon`, filters of convolutions have Muon's steps with the rate `muon_learning_rate`; everything else has SGD's.
    Biases of batch normalisations have `bias_lr_factor` times the learning rate, and the weight decay over it. Feature
    layers that are fine-tuned have `feature_lr_factor` times the learning rate. With `ema_decay`, the exponential moving
    average of the weights is scored and kept; after n steps its decay is at most (1 + n) / (10 + n).
    """

    kind: Annotated[Optimizer, "Optimizer."] = "adam"
    learning_rate: Annotated[Rate, "Learning rate."] = 1e-3
    weight_decay: Annotated[float, Meta(ge=0, le=MAX_RATE), "Weight decay."] = 0.0
    momentum: Annotated[float, Meta(ge=0, lt=1), "Nesterov momentum of SGD and Muon."] = 0.0
    muon_learning_rate: Annotated[Rate, "Learning rate of Muon, for filters of convolutions."] = 0.2
    bias_lr_factor: Annotated[Rate, "Factor of the learning rate for batch-normalisation biases."] = 1.0
    feature_lr_factor: Annotated[Rate, "Factor of the learning rate for fine-tuned feature layers."] = 0.1
    ema_decay: Annotated[
        float, Meta(ge=0, lt=1), "Decay of the moving average of the weights that is kept; 0 for none."
    ] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.momentum and self.kind not in ("sgd", "muon"):
            raise refuse("momentum", self.momentum, f"none with {self.kind}")


@dataclass(frozen=True, kw_only=True)
class ScheduleSettings(Group):
    """How the learning rate changes.

    `step` multiplies it by `gamma` every `step_epochs`. `one_cycle` lets it rise from 0 over the fraction
    `warmup_fraction` of the training and fall to 0 at its end, both along straight lines, anew in every step.
    """

    kind: Annotated[Literal["step", "one_cycle"], "Schedule of the learning rate."] = "step"
    warmup_fraction: Annotated[Part, "Rising part of the one_cycle schedule."] = 0.25
    step_epochs: Annotated[Count | None, "Epochs between two steps of the learning rate."] = None
    gamma: Annotated[float, Meta(gt=0, le=1), "Factor of the learning rate at each step."] = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step_epochs is not None and self.kind != "step":
            raise refuse("step_epochs", self.step_epochs, f"none with {self.kind}")

    def factor(self, epoch: float, epochs: int) -> float:
        """What the learning rate is multiplied by when `epoch` of `epochs` are done."""
        if self.kind == "one_cycle":
            done = epoch / epochs
            return max(0.0, min(done / self.warmup_fraction, (1 - done) / (1 - self.warmup_fraction)))
        return self.gamma ** (0 if self.step_epochs is None else int(epoch) // self.step_epochs)
