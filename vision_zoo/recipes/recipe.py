"""Recipes: everything that determines a training run, as typed data. Needs no torch."""

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from msgspec import Meta

from vision_zoo.architectures import revision_of
from vision_zoo.core.choices import Arithmetic, FineTuning, Interpolation
from vision_zoo.core.errors import RunError, UsageError
from vision_zoo.recipes.distillation import DistillationSettings
from vision_zoo.recipes.folder_settings import FolderSettings
from vision_zoo.recipes.settings import Group, grouped, refuse, settings_of, without_defaults
from vision_zoo.recipes.training_settings import (
    MAX_RATE,
    Count,
    OptimizerSettings,
    Pixels,
    Rate,
    ScheduleSettings,
    StoppingSettings,
)

# Fields that have no part in what a run computes.
_DESCRIPTIONS = {"name", "title", "remark", "report", "reported", "companion_of", "parameters", "test_curve"}


@dataclass(frozen=True, kw_only=True)
class DataSettings(FolderSettings):
    """What a network is trained on.

    `mean` and `std` normalise pixels scaled to [0, 1], one value per channel of the network; three for a grayscale
    dataset repeat its images to three channels. `image_size` is for `folder:PATH` alone, as the folder's settings are.
    """

    dataset: str
    mean: tuple[Annotated[float, Meta(ge=-MAX_RATE, le=MAX_RATE)], ...]
    std: tuple[Rate, ...]
    image_size: Count | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not len(self.mean) == len(self.std) > 0:
            raise refuse("mean", self.mean, "one value per channel, as std")


@dataclass(frozen=True, kw_only=True)
class Augmentation(Group):
    """Random changes of training images, drawn for every image anew.

    Rotations have black corners; a shift is along each axis, black coming in; a crop is resized, with side ratios from
    3:4 to 4:3; the centre of a cut square is anywhere (DeVries and Taylor, 2017).

    torchvision's rotations have the `interpolation` nearest, and its crops 10 `crop_tries`: in whole pixels, the whole
    image if none fits. With one, sides that are too long are cut, and the crop is part of the rotation's resampling.
    """

    rotation: Annotated[float, Meta(ge=0, le=180), "Largest rotation either way, in degrees."] = 0.0
    shift: Annotated[Pixels, "Largest shift, in whole pixels."] = 0
    translate: Annotated[
        float, Meta(ge=0, le=1), "Largest shift, as a fraction of the side, rounded to pixels."
    ] = 0.0
    horizontal_flip: Annotated[float, Meta(ge=0, le=1), "Probability of a horizontal flip."] = 0.0
    crop_scale: Annotated[
        tuple[Annotated[float, Meta(gt=0, le=1)], Annotated[float, Meta(gt=0, le=1)]] | None,
        "Fractions of the area that a random crop keeps.",
    ] = None
    crop_tries: Annotated[int, Meta(ge=1, le=100), "Random crops to draw at most until one fits."] = 1
    interpolation: Annotated[Interpolation, "Resampling filter of rotations and shifts."] = "bilinear"
    cutout: Annotated[Pixels, "Side of a square painted in the mean colour, in pixels."] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.crop_scale is not None and self.crop_scale[0] > self.crop_scale[1]:
            raise refuse("crop_scale", self.crop_scale, "the smaller fraction first")


JSON_NAMES = {"bias_lr_factor": "offset_lr_factor", "warmup_fraction": "warmup"}
"""The keys of fields in JSON that are not the names of the fields; published files have them."""
FIELD_NAMES = {key: name for name, key in JSON_NAMES.items()}
_REVISION = "architecture_revision"  # in JSON beside the fields, where it is above 1


@dataclass(frozen=True, kw_only=True)
class _Fields(Group):
    name: str
    architecture: str
    data: DataSettings
    title: str = ""
    remark: str = ""
    report: str | None = None
    reported: Mapping[str, float] = field(default_factory=dict)
    companion_of: str | None = None
    parameters: int | None = None
    architecture_arguments: Mapping[str, Any] = field(default_factory=dict)
    stopping: StoppingSettings = field(default_factory=StoppingSettings)
    batch_size: Annotated[Count, "Images per step."] = 128
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    label_smoothing: Annotated[float, Meta(ge=0, lt=1), "Probability spread evenly over all classes."] = 0.0
    class_weights: Annotated[bool, "Weight the training loss by the inverse frequency of classes."] = False
    test_time_flip: Annotated[bool, "Average the predictions for an image and its mirror image."] = False
    softmax_before_loss: bool = False
    precision: Annotated[Arithmetic, "Precision of training steps; auto measures the fastest."] = "fp32"
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    augmentation: Augmentation | None = None
    distillation: DistillationSettings = field(default_factory=DistillationSettings)
    pretrained: str | None = None
    transfer_from: str | None = None
    frozen: bool = False
    fine_tune: Annotated[
        FineTuning | None, "Frozen feature layers to train as well, after a new head: the last stage, or all."
    ] = None
    frozen_dropout: bool = False
    test_curve: bool = False
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1), "Seed for weights, split and batch order."] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", self.name) is None:
            raise refuse("name", self.name, "letters, digits, '.', '_' and '-': it becomes a file name")
        if self.test_time_flip and self.frozen and self.fine_tune is None:
            raise refuse("test_time_flip", True, "none with frozen features")
        steady = self.frozen and not (self.frozen_dropout or self.fine_tune or self.augmentation)
        if self.optimizer.kind == "lbfgs" and not steady:
            raise refuse("optimizer", "lbfgs", "adam, adamw or sgd: lbfgs is for frozen features as they are")
        if self.optimizer.kind == "muon" and self.frozen:
            raise refuse("optimizer", "muon", "adam, adamw or sgd: muon sets the length of filters")
        self.distillation.check(self)


class Recipe(_Fields):
    """One experiment. Its settings are in groups, but are given, overridden and written without: `Recipe(epochs=3, …)`.

    `report` names the published report it comes from and `reported` the metrics printed there (fractions, nats and
    seconds): fields of a result, `parameters`, and with a suffix those of an epoch (`test_accuracy_epoch_3`,
    `train_loss_last_epoch`) or another value for the same (`test_accuracy_in_abstract`). `remark` says how a silent or
    contradictory report was read. `companion_of` names the published recipe of which this is a variant. `parameters` is
    the network's number of parameters, frozen ones too. `test_curve` draws the test split's loss and accuracy per epoch.

    `class_weights` multiplies an image's training loss by n / (k n_c), of n images in k classes, n_c in its own.
    Reported losses are without `label_smoothing` and, but for the validation loss that decides when to stop, weights.
    `softmax_before_loss` gives cross-entropy probabilities for logits, as in report A: ln(e + classes - 1) - 1 or more.

    `test_time_flip` averages the logits of an image and its mirror image in evaluation and in the exported file, at
    twice the work. `precision` is what matrix products and convolutions of the training steps compute in: single, TF32
    (NVIDIA GPUs; evaluation on them too), or bfloat16 by torch's autocast; weights and loss are single.

    `pretrained` names published weights and `transfer_from` a recipe whose run gives the weights of the feature layers;
    `frozen` keeps the feature layers as they are, with their dropout off or, with `frozen_dropout`, on. With `fine_tune`
    the head is trained on them first, then with the feature layers of the last stage, or all; batch statistics stay.
    """

    def __init__(self, **settings: Any) -> None:
        """Take settings by the names of `SETTINGS`, or whole groups.

        Raises:
            UsageError: an unknown name, or a value of another type or out of bounds.
        """
        super().__init__(**grouped(Recipe, settings))

    def replace(self, **changes: Any) -> "Recipe":
        """The same recipe with `changes`. With the schedule one_cycle the epochs of another one are left out."""
        if changes.get("schedule") == "one_cycle":
            changes = {"step_epochs": None, **changes}
        return Recipe(**{**self._flat(), **changes})

    def override(self, **changes: Any) -> "Recipe":
        """The same recipe with those of `changes` that are not None."""
        return self.replace(**{key: value for key, value in changes.items() if value is not None})

    def variant(self, name: str, *, title: str, remark: str = "", **changes: Any) -> "Recipe":
        """A companion of this published recipe with `changes`; what the report printed is its, too."""
        described = {"name": name, "title": title, "remark": remark, "companion_of": self.name}
        return self.replace(report=None, **described, **changes)

    def learning_rate_at(self, epoch: float) -> float:
        """The learning rate when so many epochs are done; 2.5 is in the middle of the third."""
        return self.optimizer.learning_rate * self.schedule.factor(epoch, self.stopping.epochs)

    def settings(self) -> dict[str, Any]:
        """What decides the run's outcome but the seed, as JSON values.

        Values that are their field's default are left out, so that a new field changes no older recipe.
        """
        values = without_defaults(Recipe, json.loads(self.to_json()), FIELD_NAMES)
        return {key: value for key, value in values.items() if key not in _DESCRIPTIONS | {"seed"}}

    def has_settings(self, settings: Mapping[str, Any] | None) -> bool:
        """Whether `settings` are this recipe's; an earlier version may have written some defaults too."""
        return settings is not None and without_defaults(Recipe, settings, FIELD_NAMES) == self.settings()

    def to_json(self) -> str:
        values = {JSON_NAMES.get(name, name): value for name, value in self._flat().items()}
        if revision_of(self.architecture) > 1:
            values[_REVISION] = revision_of(self.architecture)
        return json.dumps(values, indent=2, default=dataclasses.asdict) + "\n"

    @classmethod
    def from_json(cls, text: str, *, name: str) -> "Recipe":
        """Parse what `to_json` wrote.

        Raises:
            RunError: the text is not a recipe of this version.
        """
        try:
            values = {FIELD_NAMES.get(key, key): value for key, value in json.loads(text).items()}
            if values.pop(_REVISION, 1) != revision_of(str(values.get("architecture"))):
                raise RunError(f"{name} belongs to another version of {values['architecture']}; train again")
            return cls(**values)
        except (ValueError, TypeError, AttributeError, RecursionError, UsageError) as error:
            raise RunError(
                f"{name} is not a recipe that this version can read ({error}); train again"
            ) from error

    def _flat(self) -> dict[str, Any]:
        return {name: setting.of(self) for name, setting in SETTINGS.items() if not setting.nested}


SETTINGS = settings_of(Recipe)
"""All settings of a recipe by their names in files and options."""
