"""Images that an exported file without its run can be calibrated on: none that its network was trained on."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vision_zoo.artifact.metadata import Metadata
from vision_zoo.core.errors import DataError, UsageError
from vision_zoo.data import REGISTRY as DATASETS
from vision_zoo.data.dataset import Split, Splits
from vision_zoo.data.folder_contents import pictures_to_score
from vision_zoo.data.own_folder import folder_name, folder_path, is_own_folder
from vision_zoo.data.split import stratified_holdout
from vision_zoo.recipes import REGISTRY as RECIPES
from vision_zoo.training.loader import training_splits

HELD_OUT = "held-out training images"
HALF_OF_TEST = "half of the test split"

_SEED = 0
_STANDARD_ERRORS = 4.0


@dataclass(frozen=True, eq=False)
class CalibrationImages:
    """Labelled images to calibrate on, which they are, and those on which the calibration can be judged, if any."""

    split: Split
    calibrated_on: str
    rest: Split | None


def images_for(metadata: Metadata, *, dataset: str | None, data_dir: Path | None) -> CalibrationImages:
    """What to calibrate a file on.

    With a `dataset` `folder:PATH`, its pictures: those of its test split, else all. Without one, of the dataset that the
    file was trained on, the images that the recipe of its name holds out of training; where it holds none out, half of
    the test split, every class in proportion: then only the other half can tell how good the calibration is.

    Raises:
        UsageError: the dataset is not at hand by name, or `dataset` is no folder.
        DataError: the data is not there, or it has other labels.
    """
    if dataset is not None:
        return CalibrationImages(_pictures(metadata, dataset).test, folder_name(folder_path(dataset)), None)
    splits = _published(metadata, data_dir)
    recipe = RECIPES.find(metadata.recipe) if metadata.recipe in RECIPES else None
    if recipe is not None and recipe.data.dataset == metadata.dataset and recipe.stopping.is_validated:
        return CalibrationImages(training_splits(splits, recipe)["validation"], HELD_OUT, splits.test)
    rest, used = stratified_holdout(np.asarray(splits.test.labels), len(splits.test) // 2, seed=_SEED)
    return CalibrationImages(splits.test.take(used), HALF_OF_TEST, splits.test.take(rest))


def splits_for(metadata: Metadata, *, dataset: str | None, data_dir: Path | None) -> Splits:
    """What to quantise a file on, `train`, and to verify it on, `test`: those of the dataset that it was trained on.

    With a `dataset` `folder:PATH`, its pictures are both. Raises as `images_for`.
    """
    if dataset is None:
        return _published(metadata, data_dir)
    pictures = _pictures(metadata, dataset)
    return replace(pictures, train=pictures.test)


def _pictures(metadata: Metadata, dataset: str) -> Splits:
    """Pictures of `folder:PATH` as the test split."""
    if not is_own_folder(dataset):
        raise UsageError(f"cannot take the images of {dataset}; expected folder:PATH, or no --dataset")
    return pictures_to_score(folder_path(dataset), metadata.labels, metadata.input)[1]


def _published(metadata: Metadata, data_dir: Path | None) -> Splits:
    """The dataset that a file was trained on."""
    if metadata.dataset not in DATASETS:
        raise UsageError(
            f"{metadata.recipe} was trained on {metadata.dataset}, which is not at hand; export its run again, or pass "
            "--dataset folder:PATH with pictures that it was not trained on"
        )
    dataset = DATASETS.find(metadata.dataset)
    if (dataset.labels, dataset.input.shape) != (metadata.labels, metadata.input.shape):
        raise DataError(
            f"{metadata.recipe} has other labels or another input than {dataset.name}; export its run again"
        )
    return dataset.load(data_dir)


def require_unseen(metadata: Metadata, images: CalibrationImages, accuracy: float) -> None:
    """Raise DataError where a file is so much better on held-out images that it was trained on them.

    Its run may have had another seed than the recipe, and so have held out others.
    """
    if images.calibrated_on != HELD_OUT:
        return
    expected = metadata.test_accuracy
    variance = expected * (1 - expected) * (1 / len(images.split) + 1 / metadata.test_images)
    if accuracy > expected + _STANDARD_ERRORS * math.sqrt(variance):
        raise DataError(
            f"{metadata.recipe} gets {accuracy:.2%} of the images that its recipe holds out right, and {expected:.2%} of "
            "the test images: it was trained on the former; export its run again"
        )
