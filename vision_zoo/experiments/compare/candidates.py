"""Candidate architectures: their recipes, cost per image, and time per epoch.

Latency and size do not depend on the weights, so they are measured before anything is trained: what breaks a limit
on them is left out at once.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vision_zoo.artifact.metadata import INPUT_NAME, OUTPUT_NAMES
from vision_zoo.core import onnx_runtime
from vision_zoo.core.errors import DataError, ExportError, RunError, UsageError
from vision_zoo.core.installation import missing_package
from vision_zoo.core.progress import SilentProgress
from vision_zoo.core.scenarios import single_stream
from vision_zoo.data.dataset import Dataset, Splits
from vision_zoo.experiments.compare.images import ComparedImages
from vision_zoo.experiments.compare.probe import training_seconds
from vision_zoo.experiments.compare.settings import ComparisonSettings
from vision_zoo.exporting.export import load_exporter, to_onnx
from vision_zoo.recipes import recipe_for
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training.classifier import ImageClassifier, build_classifier
from vision_zoo.training.features import can_cache
from vision_zoo.training.weights import PRETRAINED_HINT, load_pretrained

if TYPE_CHECKING:
    import torch

_EPOCHS, _PATIENCE, _VALIDATION = 100, 10, 0.15
# Patience in steps too: an epoch of few images is few of them, and sigmoids learn nothing for hundreds.
_STEPS_OF_PATIENCE = 300
_HEAD_STEPS, _HEAD_EPOCHS = 600, 30
"""At least so many steps and epochs of a dense layer on frozen features: seconds."""
_SOLVED_IMAGES, _VALIDATED_IMAGES = 5000, 2000
"""Training images up to which a dense layer is solved, with all of them in every step; those of its cross-validation."""
_SOLVED_PER_SECOND, _SOLVING_SHARE = 8000, 0.1
"""Images of the cross-validation times classes that a second takes, about, and the fraction of the budget for it."""
OF_STEPS = {
    *("optimizer", "learning_rate", "momentum", "batch_size", "epochs", "patience", "label_smoothing"),
    *("class_weights", "ema_decay"),
}
"""Settings of training in steps: who chooses one of them wants no solver."""
_TIMED_SECONDS = 0.3


@dataclass(frozen=True)
class Candidate:
    """An architecture on the dataset. `p50_ms` is of one image in single precision, `epoch_seconds` an estimate.

    `start_seconds` is what has to be done once before the first epoch: frozen features. `measuring_seconds` is how long
    all this took to find out, most of it to export a file. `test_images` are what it will be scored on. Nothing is
    exported to look at frozen features: their `p50_ms` is torch's, and their size is not known. `teacher` is the run that
    it learns from.
    """

    recipe: Recipe
    p50_ms: float
    size_mb: float
    start_seconds: float
    epoch_seconds: float
    measuring_seconds: float
    test_images: int = 0
    teacher: Path | None = None

    @property
    def architecture(self) -> str:
        return self.recipe.architecture

    @property
    def is_validated(self) -> bool:
        """Whether it is scored on images that it was not fitted to: a part kept for that, or in a cross-validation."""
        recipe = self.recipe
        return recipe.stopping.patience is not None or (
            is_solved(recipe) and not recipe.optimizer.weight_decay
        )


def is_solved(recipe: Recipe) -> bool:
    """Whether a dense layer on frozen features is brought to its optimum, which no seed changes."""
    return recipe.optimizer.kind == "lbfgs"


def recipe_of(
    architecture: str, settings: ComparisonSettings, training_images: int, *, classes: int
) -> Recipe:
    """The pair's published recipe or the defaults, with validation, early stopping and no cap of its own.

    A dense layer on frozen features is solved on all images; where they or the classes are many, or the user chooses how
    it is trained, it is trained for a fixed time, without validation. What the user has set comes last.
    """
    chosen = dict(settings.changes)
    channels = chosen.pop("channels", None)
    recipe = recipe_for(
        architecture, settings.dataset, image_size=settings.image_size, channels=channels, given=chosen
    )
    frozen = can_cache(recipe.replace(**chosen))
    steps = math.ceil((1 - (0 if frozen else _VALIDATION)) * training_images / recipe.batch_size)
    patience = max(_PATIENCE, math.ceil(_STEPS_OF_PATIENCE / steps))
    epochs = max(_HEAD_EPOCHS, math.ceil(_HEAD_STEPS / steps)) if frozen else max(_EPOCHS, 2 * patience)
    changes: dict[str, Any] = {
        "report": None,
        "reported": {},
        "companion_of": None,
        "remark": "",
        "epochs": epochs,
        "patience": None if frozen else patience,
        "validate": False,
        "validation_fraction": _VALIDATION,
        "max_steps": None,
        "max_minutes": None,
        "test_curve": False,
        "softmax_before_loss": False,
        "transfer_from": None,
    }
    if recipe.schedule.kind == "one_cycle":
        # It has no end to fall to here: a halving or early stopping ends training.
        plain = {"optimizer": "adam", "learning_rate": 1e-3, "momentum": 0.0, "weight_decay": 0.0}
        changes |= {"schedule": "step", **plain}
    solving = min(training_images, _VALIDATED_IMAGES) * classes / _SOLVED_PER_SECOND
    few = training_images <= _SOLVED_IMAGES and solving <= _SOLVING_SHARE * settings.budget_seconds
    if frozen and few and not OF_STEPS & chosen.keys():
        changes |= {"optimizer": "lbfgs", "epochs": 1, "weight_decay": 0.0, "momentum": 0.0}
    return recipe.replace(**{**changes, **chosen})


def measure_candidate(
    architecture: str,
    settings: ComparisonSettings,
    images: ComparedImages,
    *,
    device: "torch.device",
    data_dir: Path | None,
    clock: Callable[[], float],
) -> Candidate | str:
    """The candidate, or why the architecture takes no part. `clock` gives seconds."""
    try:
        dataset, splits = images.at(settings.image_size)
        recipe = recipe_of(architecture, settings, len(splits.train), classes=len(dataset.labels))
        dataset, splits = images.of(recipe)
        classifier = build_classifier(recipe, dataset)
        if recipe.pretrained is not None:
            load_pretrained(classifier, recipe.pretrained, path=None, data_dir=data_dir)
        candidate = _measured(recipe, classifier, dataset, splits, device, clock)
    except (UsageError, DataError, RunError, ExportError) as error:
        return str(error).removesuffix(PRETRAINED_HINT)
    except ModuleNotFoundError as error:
        missing = missing_package(error)  # that holds weights: the others can be compared without it
        if missing is None:
            raise
        return str(missing)
    if can_cache(recipe):
        return candidate
    broken = settings.limits.broken_by(p50_ms=candidate.p50_ms, size_mb=candidate.size_mb)
    return f"breaks a limit before any training: {', '.join(broken)}" if broken else candidate


def _measured(
    recipe: Recipe,
    classifier: ImageClassifier,
    dataset: Dataset,
    splits: Splits,
    device: "torch.device",
    clock: Callable[[], float],
) -> Candidate:
    started = clock()
    if can_cache(recipe):
        start, epoch = training_seconds(recipe, classifier, splits, device, clock)
        images = sum(len(split) for split in splits.named().values())
        milliseconds, seconds = 1000 * start / images, clock() - started
        return Candidate(recipe, milliseconds, 0.0, start, epoch, seconds, len(splits.test))
    load_exporter()  # once, or the first architecture would look dearer than it is
    started = clock()
    content = to_onnx(classifier.eval(), dataset.input.shape)
    runtime = onnx_runtime.make_session(content, onnx_runtime.session_options())
    image = np.zeros((1, *dataset.input.shape), dtype=np.uint8)
    runners = {recipe.architecture: lambda: runtime.run(list(OUTPUT_NAMES), {INPUT_NAME: image})}
    latency = single_stream(runners, batch_size=1, seconds=_TIMED_SECONDS, progress=SilentProgress())
    start, epoch = training_seconds(recipe, classifier, splits, device, clock)
    return Candidate(
        recipe,
        p50_ms=latency[recipe.architecture].milliseconds[50] or 0.0,
        size_mb=len(content) / 2**20,
        start_seconds=start,
        epoch_seconds=epoch,
        measuring_seconds=clock() - started,
        test_images=len(splits.test),
    )
