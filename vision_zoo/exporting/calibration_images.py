"""Images that an exported file without its run can be calibrated on: none that its network was trained on."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vision_zoo.artifact.metadata import Metadata
from vision_zoo.core.errors import DataError, UsageError
from vision_zoo.core.progress import Progress, SilentProgress
from vision_zoo.data import REGISTRY as DATASETS
from vision_zoo.data.dataset import Split, Splits, report_skipped
from vision_zoo.data.folder_contents import pictures_to_score
from vision_zoo.data.own_folder import folder_name, folder_path, is_own_folder
from vision_zoo.data.split import stratified_holdout
from vision_zoo.recipes import REGISTRY as RECIPES
from vision_zoo.training.loader import training_splits

HELD_OUT = "held-out training images"
HALF_OF_TEST = "half of the test split"

_SEED = 0
_STANDARD_ERRORS = 4.0
_SLIGHTLY = 1.0


@dataclass(frozen=True, eq=False)
class CalibrationImages:
    """Labelled images to calibrate on, which they are, and those on which the calibration can be judged, if any.

    `of_its_folder` tells that they are, by the name of their folder, those that the file was trained on.
    """

    split: Split
    calibrated_on: str
    rest: Split | None
    of_its_folder: bool = False


def images_for(
    metadata: Metadata, *, dataset: str | None, data_dir: Path | None, progress: Progress | None = None
) -> CalibrationImages:
    """What to calibrate a file on.

    With a `dataset` `folder:PATH`, its pictures: those of its test split, else all. Without one, of the dataset that the
    file was trained on, the images that the recipe of its name holds out of training; where it holds none out, half of
    the test split, every class in proportion: then only the other half can tell how good the calibration is.

    Raises:
        UsageError: the dataset is not at hand by name, the file was fitted to its test images, too, or `dataset` is no
            folder.
        DataError: the data is not there, or it has other labels.
    """
    if dataset is not None:
        pictures, named_so = _pictures(metadata, dataset, progress)
        return CalibrationImages(pictures.test, folder_name(folder_path(dataset)), None, named_so)
    if metadata.refitted:
        raise UsageError(
            f"{metadata.recipe} was fitted to its test images, too, and none is left to calibrate it on; pass --dataset "
            "folder:PATH with images that it was not trained on"
        )
    splits = _published(metadata, data_dir)
    recipe = RECIPES.find(metadata.recipe) if metadata.recipe in RECIPES else None
    if recipe is not None and recipe.data.dataset == metadata.dataset and recipe.stopping.is_validated:
        return CalibrationImages(training_splits(splits, recipe)["validation"], HELD_OUT, splits.test)
    rest, used = stratified_holdout(np.asarray(splits.test.labels), len(splits.test) // 2, seed=_SEED)
    return CalibrationImages(splits.test.take(used), HALF_OF_TEST, splits.test.take(rest))


def splits_for(
    metadata: Metadata, *, dataset: str | None, data_dir: Path | None, progress: Progress | None = None
) -> tuple[Splits, bool]:
    """What to quantise a file on, `train`, and to verify it on, `test`: those of the dataset that it was trained on.

    With a `dataset` `folder:PATH`, its pictures are both. The second value tells whether the file may have been trained
    on the latter. Raises as `images_for` for the dataset.
    """
    if dataset is None:
        return _published(metadata, data_dir), metadata.refitted
    pictures, seen = _pictures(metadata, dataset, progress)
    return replace(pictures, train=pictures.test), seen


def _pictures(metadata: Metadata, dataset: str, progress: Progress | None) -> tuple[Splits, bool]:
    """Pictures of `folder:PATH` as the test split, and whether they are, by its name, what the file was trained on."""
    if not is_own_folder(dataset):
        raise UsageError(f"cannot take the images of {dataset}; expected folder:PATH, or no --dataset")
    path = folder_path(dataset)
    name, pictures = pictures_to_score(path, metadata.labels, metadata.input)
    report_skipped(pictures, progress or SilentProgress())
    return pictures, folder_name(path) == metadata.dataset and (name == "all" or metadata.refitted)


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


def require_unseen(metadata: Metadata, images: CalibrationImages, accuracy: float) -> str | None:
    """Raise DataError where the file's `accuracy` on `images` tells that it was trained on them; a warning where it may.

    Its run may have had another seed than the recipe, and so have held out others. A folder is told by its name and by
    the accuracy together: another one may be called so, or be easier.
    """
    if images.calibrated_on == HALF_OF_TEST:
        return None
    found = (
        f"{metadata.recipe} classifies {accuracy:.2%} of these images correctly, and {metadata.test_accuracy:.2%} of its "
        "test images"
    )
    if images.calibrated_on == HELD_OUT:
        if looks_seen(metadata, len(images.split), accuracy):
            raise DataError(f"{found}: it was trained on what its recipe holds out now; export its run again")
        return None
    if images.of_its_folder and looks_seen(metadata, len(images.split), accuracy, _SLIGHTLY):
        raise DataError(
            f"{found}, and was trained on a folder of this name ({metadata.dataset}); expected other images, or another "
            "name if this is not that folder"
        )
    if images.of_its_folder or looks_seen(metadata, len(images.split), accuracy):
        return f"{found}; if it was trained on these, its sets contain the label of new images less often than they say"
    return None


def looks_seen(metadata: Metadata, images: int, accuracy: float, errors: float = _STANDARD_ERRORS) -> bool:
    """Whether a file is so much better on `images` images than on its test images, by more than so many standard errors.

    Two images more, one of them right, keep the error of a few test images above 0.
    """
    count = metadata.test_images + 2
    expected = (metadata.test_accuracy * metadata.test_images + 1) / count
    variance = expected * (1 - expected) * (1 / images + 1 / count)
    return accuracy > expected + errors * math.sqrt(variance)
