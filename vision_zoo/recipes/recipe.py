"""Recipes: everything that determines a training run, as typed data. Needs no torch."""

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from vision_zoo.core.bounds import require_between
from vision_zoo.core.choices import Arithmetic, Optimizer
from vision_zoo.core.errors import RunError, UsageError

Schedule = Literal["step", "one_cycle"]

MAX_COUNT = 1_000_000_000
"""Epochs, steps, minutes, images per step or pixels per side above which a number is a slip."""
_MAX_RATE = 1e38
"""About the largest number in single precision."""

# Fields that have no part in what a run computes, but the seed, which results keep apart.
_DESCRIPTIONS = {
    "name",
    "title",
    "remark",
    "report",
    "reported",
    "companion_of",
    "parameters",
    "test_curve",
    "seed",
}


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random changes of training images, drawn for every image anew.

    `rotation` is the largest angle in degrees either way, with black corners; `shift` the most pixels that an image
    is moved along each axis, a whole number of them, black coming in; `horizontal_flip` a probability; `crop_scale`
    the range of the area that a random resized crop keeps, of side ratios between 3:4 and 4:3; `cutout` the side in
    pixels of a square that is painted over with the image's mean colour, its centre anywhere (DeVries and Taylor, 2017).
    """

    rotation: float = 0.0
    shift: int = 0
    horizontal_flip: float = 0.0
    crop_scale: tuple[float, float] | None = None
    cutout: int = 0

    def __post_init__(self) -> None:
        """Raises UsageError for values out of range."""
        _require(0 <= self.rotation <= 180, "rotation", self.rotation, "0 to 180 degrees")
        _require(type(self.shift) is int and self.shift >= 0, "shift", self.shift, "0 or more whole pixels")
        _require(
            type(self.cutout) is int and self.cutout >= 0, "cutout", self.cutout, "0 or more whole pixels"
        )
        _require(0 <= self.horizontal_flip <= 1, "horizontal flip", self.horizontal_flip, "a probability")
        low, high = self.crop_scale or (1.0, 1.0)
        _require(0 < low <= high <= 1, "crop scale", self.crop_scale, "a range between 0 and 1")


JSON_NAMES = {"bias_lr_factor": "offset_lr_factor", "warmup_fraction": "warmup"}
"""The keys of fields in JSON that are not the names of the fields; published files have them."""
FIELD_NAMES = {key: name for name, key in JSON_NAMES.items()}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One experiment.

    `report` names the published report it comes from and `reported` the metrics printed there (fractions,
    nats and seconds; `test_accuracy_epoch_3` is one of a single epoch). `remark` says how a silent or
    contradictory report was read. `companion_of` names the published recipe that this one differs from in a
    single respect. `parameters` is the network's number of parameters, frozen ones too.
    `mean` and `std` normalise pixels scaled to [0, 1], one value per channel of the network; three for a
    grayscale dataset repeat its images to three channels.

    With `patience`, `validation_fraction` of the training split is held out (the data's own validation
    split, where it has one), training stops after that many epochs without a lower validation loss, and the
    best epoch's weights are kept; without it the last epoch's are. `test_curve` draws the test split's
    loss and accuracy per epoch; they never decide anything.

    `step_epochs` multiplies the learning rate by `gamma` every so many epochs. With the schedule `one_cycle` it
    instead rises from 0 to `learning_rate` over the fraction `warmup_fraction` of the training and falls to 0 at its
    end, both along straight lines, anew in every step. `momentum` is SGD's, in Nesterov's form. `label_smoothing` is the
    probability that training spreads evenly over all classes; losses that are reported are without. `max_steps` and
    `max_minutes` (of training and validation) end a run early, in the middle of an epoch if need be.

    Biases of batch normalisations have `bias_lr_factor` times the learning rate, and the weight decay over it.

    `softmax_before_loss` gives cross-entropy probabilities where it expects logits, as report A does: the
    loss cannot fall below ln(e + classes - 1) - 1 then. Predictions and exported probabilities are the same.

    `test_time_flip` classifies an image by the mean of its logits and its mirror image's, in evaluation and in the
    exported file, at twice the work.

    `precision` is what matrix products and convolutions of the training steps compute in: single precision, TF32
    (NVIDIA GPUs; evaluation on them too), or bfloat16 by torch's autocast. Weights and loss are in single precision.

    `pretrained` names published weights and `transfer_from` a recipe whose run gives the weights of the
    feature layers; `frozen` keeps the feature layers as they are. `image_size` is for `folder:PATH` alone.
    """

    name: str
    architecture: str
    dataset: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    title: str = ""
    remark: str = ""
    report: str | None = None
    reported: Mapping[str, float] = field(default_factory=dict)
    companion_of: str | None = None
    parameters: int | None = None
    architecture_arguments: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 10
    batch_size: int = 128
    optimizer: Optimizer = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.0
    bias_lr_factor: float = 1.0
    label_smoothing: float = 0.0
    test_time_flip: bool = False
    softmax_before_loss: bool = False
    precision: Arithmetic = "fp32"
    schedule: Schedule = "step"
    warmup_fraction: float = 0.25
    step_epochs: int | None = None
    gamma: float = 0.1
    augmentation: Augmentation | None = None
    max_steps: int | None = None
    max_minutes: float | None = None
    pretrained: str | None = None
    transfer_from: str | None = None
    frozen: bool = False
    image_size: int | None = None
    patience: int | None = None
    validation_fraction: float = 0.1
    test_curve: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises UsageError for values out of range."""
        _require(
            re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", self.name) is not None,
            "name",
            self.name,
            "letters, digits, '.', '_' and '-': it becomes a file name",
        )
        counts = (self.patience, self.step_epochs, self.max_steps, self.image_size)
        for number in (self.epochs, self.batch_size, self.seed, *(count for count in counts if count)):
            _require(type(number) is int, "number", number, "an integer")
        _require(len(self.mean) == len(self.std) > 0, "mean", self.mean, "one value per channel, as std")
        _require(all(value > 0 for value in self.std), "std", self.std, "values above 0")
        require_between("epochs", self.epochs, 1, MAX_COUNT)
        require_between("batch size", self.batch_size, 1, MAX_COUNT)
        require_between("learning rate", self.learning_rate, 0, _MAX_RATE, above=True)
        require_between("weight decay", self.weight_decay, 0, _MAX_RATE)
        _require(0 <= self.momentum < 1, "momentum", self.momentum, "0 or more, below 1")
        _require(
            self.optimizer == "sgd" or not self.momentum,
            "momentum",
            self.momentum,
            f"none with {self.optimizer}",
        )
        require_between("bias learning rate factor", self.bias_lr_factor, 0, _MAX_RATE, above=True)
        _require(0 <= self.label_smoothing < 1, "label smoothing", self.label_smoothing, "0 or more, below 1")
        _require(
            0 < self.warmup_fraction < 1,
            "warmup fraction",
            self.warmup_fraction,
            "a fraction between 0 and 1",
        )
        _require(
            self.schedule in get_args(Schedule), "schedule", self.schedule, ", ".join(get_args(Schedule))
        )
        _require(
            self.schedule == "step" or self.step_epochs is None,
            "step epochs",
            self.step_epochs,
            "none with one_cycle",
        )
        _require(
            not (self.test_time_flip and self.frozen), "test-time flip", True, "none with frozen features"
        )
        for what, count in zip(("patience", "step epochs", "max steps", "image size"), counts, strict=True):
            if count is not None:
                require_between(what, count, 1, MAX_COUNT)
        if self.max_minutes is not None:
            require_between("max minutes", self.max_minutes, 0, MAX_COUNT, above=True)
        _require(0 < self.gamma <= 1, "gamma", self.gamma, "above 0, at most 1")
        require_between("seed", self.seed, 0, 2**32 - 1)
        _require(
            0 < self.validation_fraction < 1,
            "validation fraction",
            self.validation_fraction,
            "between 0 and 1",
        )
        _require(
            self.precision in get_args(Arithmetic),
            "precision",
            self.precision,
            ", ".join(get_args(Arithmetic)),
        )
        _require(
            self.optimizer in get_args(Optimizer), "optimizer", self.optimizer, ", ".join(get_args(Optimizer))
        )

    def override(self, **changes: Any) -> "Recipe":
        """The same recipe with those of `changes` that are not None."""
        return dataclasses.replace(
            self, **{key: value for key, value in changes.items() if value is not None}
        )

    def learning_rate_at(self, epoch: float) -> float:
        """The learning rate when so many epochs are done; 2.5 is in the middle of the third."""
        if self.schedule == "one_cycle":
            done = epoch / self.epochs
            return self.learning_rate * max(
                0.0, min(done / self.warmup_fraction, (1 - done) / (1 - self.warmup_fraction))
            )
        decays = 0 if self.step_epochs is None else int(epoch) // self.step_epochs
        return self.learning_rate * self.gamma**decays

    def settings(self) -> dict[str, Any]:
        """What decides the run's outcome but the seed, as JSON values.

        Values that are their field's default are left out, so that a new field changes no older recipe.
        """
        values = _without_defaults(Recipe, json.loads(self.to_json()))
        return {key: value for key, value in values.items() if key not in _DESCRIPTIONS}

    def has_settings(self, settings: Mapping[str, Any] | None) -> bool:
        """Whether `settings` are this recipe's; an earlier version may have written some defaults too."""
        return settings is not None and _without_defaults(Recipe, settings) == self.settings()

    def to_json(self) -> str:
        values = dataclasses.asdict(self)
        named = {JSON_NAMES.get(name, name): value for name, value in values.items()}
        return json.dumps(named, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, *, name: str) -> "Recipe":
        """Parse what `to_json` wrote.

        Raises:
            RunError: the text is not a recipe of this version.
        """
        try:
            value = json.loads(text)
            value["mean"], value["std"] = tuple(value["mean"]), tuple(value["std"])
            augmentation = value.get("augmentation")
            if augmentation is not None:
                scale = augmentation.get("crop_scale")
                augmentation["crop_scale"] = None if scale is None else tuple(scale)
                value["augmentation"] = Augmentation(**augmentation)
            return cls(**{FIELD_NAMES.get(name, name): entry for name, entry in value.items()})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UsageError) as error:
            raise RunError(
                f"{name} is not a recipe that this version can read ({error}); train again"
            ) from error


def _without_defaults(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON values of a `kind`'s fields without those that are the field's default, in nested ones too."""
    kept = dict(values)
    if isinstance(kept.get("augmentation"), Mapping):
        kept["augmentation"] = _without_defaults(Augmentation, kept["augmentation"])
    for entry in dataclasses.fields(kind):
        default = entry.default_factory() if callable(entry.default_factory) else entry.default
        name = JSON_NAMES.get(entry.name, entry.name)
        if name in kept and kept[name] == default:
            del kept[name]
    return kept


def _require(condition: bool, what: str, value: object, expected: str) -> None:
    if not condition:
        raise UsageError(f"{what} {value} is out of range; expected {expected}")
