"""The registry of datasets, one file each. Neither listing nor loading local data needs torch."""

import os
import shlex
from pathlib import Path

from vision_zoo.core.choices import FolderChannels, FolderCrop
from vision_zoo.core.errors import UnknownNameError, UsageError
from vision_zoo.core.registry import Registry
from vision_zoo.data import cifar10, fashion_mnist, imagenette, mnist, mnist_5k
from vision_zoo.data.dataset import Dataset
from vision_zoo.data.own_folder import PREFIX, folder_path, is_own_folder, own_folder
from vision_zoo.data.split_rule import SplitRule
from vision_zoo.images.preprocess import InputFormat

DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        mnist_5k.DATASET,
        mnist.DATASET,
        fashion_mnist.DATASET,
        cifar10.DATASET,
        cifar10.GRAYSCALE,
        imagenette.DATASET,
        imagenette.LARGE,
        imagenette.COLOR,
    )
}


REGISTRY = Registry("dataset", DATASETS, Dataset)
"""`DATASETS` and the plug-ins of installed packages."""


def find_dataset(
    name: str,
    *,
    image_size: int | None = None,
    crop: FolderCrop = "centre",
    channels: FolderChannels = "auto",
    split: SplitRule | None = None,
    target: InputFormat | None = None,
) -> Dataset:
    """The dataset or plug-in called `name`, or the images in PATH where `name` is `folder:PATH`.

    The other arguments are those of `own_folder`, for a folder alone.

    Raises:
        UnknownNameError: there is none of that name.
        PluginError: the package that offers it is broken.
        DataError: the folder is no dataset.
        UsageError: an argument for a dataset that has its own, or no PATH.
    """
    if is_own_folder(name):
        return own_folder(
            folder_path(name), image_size, crop=crop, channels=channels, split=split, target=target
        )
    refuse_path(name)
    dataset = REGISTRY.find(name)
    if image_size is not None and image_size != dataset.input.height:
        raise UsageError(
            f"{name} has images of {dataset.input.height} pixels; the image size can be chosen only for folder:PATH"
        )
    for option, chosen in (
        ("crop", crop != "centre"),
        ("channels", channels == "gray"),
        *(() if split is None else _chosen(split)),
    ):
        if chosen:
            raise UsageError(
                f"{name} has fixed images and splits; {option} can be chosen only for folder:PATH"
            )
    return dataset


def _chosen(split: SplitRule) -> tuple[tuple[str, bool], ...]:
    return (
        ("split", split.file is not None),
        ("group by", split.group_by is not None),
        ("folds", split.fold is not None),
    )


def refuse_path(name: str) -> None:
    """Raise UnknownNameError where `name` is a path that lacks `folder:`; the message says how to write it."""
    if name in REGISTRY or is_own_folder(name):
        return
    path = name[len(PREFIX) :] if name.lower().startswith(PREFIX) else name
    separators = {os.sep, os.altsep or os.sep, "/"}
    if (
        path != name
        or path.startswith(("~", "."))
        or separators & set(path)
        or (path and Path(path).is_dir())
    ):
        raise UnknownNameError(
            f"unknown dataset {name!r}; for a folder of images, put folder: before its path: --dataset "
            f"{shlex.quote(PREFIX + path)}"
        )
