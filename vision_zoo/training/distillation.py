"""Views of the training images, and the logits that another run's network, the teacher, gives for each.

They are made once, and kept beside the checkpoints until the run is finished. A view is drawn at the teacher's size,
shown to it, and reduced to the student's: both see the same.
"""

import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from vision_zoo.core import atomic
from vision_zoo.core.errors import RunError, UsageError
from vision_zoo.core.progress import Progress
from vision_zoo.data.dataset import Dataset, Split, Splits
from vision_zoo.data.own_folder import is_own_folder
from vision_zoo.images.preprocess import InputFormat
from vision_zoo.recipes.folder_settings import dataset_of
from vision_zoo.recipes.recipe import Augmentation, Recipe
from vision_zoo.training.augment import apply_augmentation, draw
from vision_zoo.training.classifier import ImageClassifier, build_classifier
from vision_zoo.training.loader import training_splits
from vision_zoo.training.run_data import read_recorded
from vision_zoo.training.run_directory import RunDirectory
from vision_zoo.training.speedups import apply_speedups
from vision_zoo.training.weights import Origins, load_weights

_AT_ONCE = 32  # images in single precision, at the teacher's size


@dataclass(frozen=True, eq=False)
class Teacher:
    """A trained network and the images that it takes."""

    name: str
    classifier: ImageClassifier
    input: InputFormat


@dataclass(frozen=True, eq=False)
class Views:
    """Views of the training images as a split, and the teacher's logits for them, float16 `[views, classes]`."""

    split: Split
    logits: NDArray[np.float16]


def load_teacher(path: Path | None, recipe: Recipe, dataset: Dataset, splits: Splits) -> Teacher:
    """The teacher in the finished run `path`, for a run of `recipe` on `splits` of `dataset`.

    Raises:
        RunError: no finished run is there.
        UsageError: it knows other classes, takes other images, or was trained on pictures of the test split.
    """
    if path is None:
        raise UsageError(
            f"the recipe learns from a run of {recipe.distillation.distil_from}; pass one with --distil RUN"
        )
    run = RunDirectory.open(path)
    recorded = read_recorded(run)
    if not run.finished or recorded is None:
        raise RunError(
            f"{path} is not finished; continue it with `vision-zoo train --resume {path}` before it teaches"
        )
    if recorded.labels != dataset.labels:
        raise UsageError(
            f"{path} has the classes {_listed(recorded.labels)}; {dataset.name} has {_listed(dataset.labels)}: pass "
            "a teacher that was trained on the same folder"
        )
    taken, needed = (replace(one, height=1, width=1) for one in (recorded.input, dataset.input))
    same_source = is_own_folder(recipe.data.dataset) or recorded.input == dataset.input
    if taken != needed or not same_source:
        raise UsageError(
            f"{path} takes different images than {recipe.name}: train both with the same --dataset, --crop and "
            "--channels"
        )
    held_out = {file.name for file in splits.test.files}
    seen = {row.file for row in recorded.rows if row.split in ("train", "validation")} & held_out
    if seen:
        raise UsageError(
            f"{path} was trained on {len(seen):,} images of the test split ({min(seen)} is one); train both with the "
            "same split"
        )
    taught = run.recipe()
    with torch.random.fork_rng(devices=[]):
        classifier = build_classifier(taught, replace(dataset, input=recorded.input))
    load_weights(run.best, classifier.network)
    return Teacher(taught.name, classifier.eval(), recorded.input)


def _listed(labels: tuple[str, ...]) -> str:
    return f"{', '.join(labels[:5])}{', …' if len(labels) > 5 else ''}"


def views_of(
    run: RunDirectory,
    recipe: Recipe,
    dataset: Dataset,
    splits: Splits,
    device: torch.device,
    progress: Progress,
) -> Views | None:
    """The views that `run` of `recipe` learns from: those that it has, or new ones of its teacher's; None without one.

    Raises:
        DataError, RunError, StorageError, UsageError: the teacher or its images are not there any more.
    """
    if recipe.distillation.distil_from is None:
        return None
    training = training_splits(splits, recipe)["train"]
    try:
        with np.load(run.views) as stored:
            return _views(training, stored["images"], stored["logits"])
    except (OSError, ValueError, KeyError, EOFError):  # there are none, or they are damaged
        pass
    origins = Origins.of_run(run.environment())
    teacher = load_teacher(origins.teacher, recipe, dataset, splits)
    large = dataset_of(recipe.data, target=teacher.input).load(origins.data_dir)
    images, logits = _labelled(
        training_splits(large, recipe)["train"].images,
        dataset.input.height,
        teacher,
        recipe,
        device,
        progress,
    )
    content = io.BytesIO()
    np.savez(content, images=images, logits=logits)
    atomic.write_bytes(run.views, content.getvalue())
    return _views(training, images, logits)


def _views(training: Split, images: NDArray[np.uint8], logits: NDArray[np.float16]) -> Views:
    """Those of each pass over the training images one after the other."""
    passes = len(images) // len(training)
    return Views(Split(images, np.tile(np.asarray(training.labels), passes)), logits)


def _labelled(
    images: NDArray[np.uint8],
    side: int,
    teacher: Teacher,
    recipe: Recipe,
    device: torch.device,
    progress: Progress,
) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """Views of images uint8 `[n, height, width, channels]`, `side` pixels square, with the teacher's logits."""
    count, large = len(images), images.shape[1]
    passes = recipe.distillation.distil_views if recipe.augmentation else 1
    augmentation = _scaled(recipe.augmentation or Augmentation(), large / side)
    classifier = teacher.classifier.to(device)
    apply_speedups(classifier.network, device)
    generator = torch.Generator().manual_seed(recipe.seed)
    views = np.empty((passes * count, side, side, images.shape[3]), dtype=np.uint8)
    logits: list[NDArray[np.float16]] = []
    progress.line(
        f"computing the predictions of {teacher.name} for {passes * count:,} views of the training images, once"
    )
    progress.start("views", passes * count, "images")
    for number in range(passes):
        changes = draw(count, augmentation, generator, side=large)
        for start in range(0, count, _AT_ONCE):
            part = slice(start, min(start + _AT_ONCE, count))
            given = torch.from_numpy(np.array(images[part])).to(device)
            shown = _whole(apply_augmentation(given, changes.shard(part, device)))
            with torch.no_grad():
                logits.append(classifier(shown).half().cpu().numpy())
            first = number * count
            views[first + part.start : first + part.stop] = _whole(_reduced(shown, side)).cpu().numpy()
            progress.advance(part.stop - part.start)
    return views, np.concatenate(logits)


def _scaled(augmentation: Augmentation, factor: float) -> Augmentation:
    """The same of images `factor` times as large."""
    return replace(
        augmentation,
        shift=round(augmentation.shift * factor),
        cutout=round(augmentation.cutout * factor),
    )


def _whole(images: Tensor) -> Tensor:
    return images.round().clamp(0, 255).to(torch.uint8)


def _reduced(images: Tensor, side: int) -> Tensor:
    """Images uint8 `[batch, height, width, channels]` as float32 of `side` pixels."""
    pixels = images.permute(0, 3, 1, 2).float()
    if pixels.shape[2] != side:
        pixels = functional.interpolate(
            pixels, size=(side, side), mode="bilinear", antialias=True, align_corners=False
        )
    return pixels.permute(0, 2, 3, 1)
