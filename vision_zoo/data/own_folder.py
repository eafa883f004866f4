"""A user's image folder as a dataset: `folder:PATH`, one sub-folder per class, images of any size."""

import re
from functools import lru_cache
from pathlib import Path

import numpy as np

from vision_zoo.core.choices import FolderChannels, FolderCrop
from vision_zoo.core.errors import ImageError, UsageError
from vision_zoo.data.dataset import Dataset
from vision_zoo.data.folder_contents import load_contents, read_contents
from vision_zoo.data.layout import Layout, check_classes, read_layout
from vision_zoo.data.scan import portable
from vision_zoo.data.split_rule import SplitRule, split_file_in
from vision_zoo.images.decode import open_image
from vision_zoo.images.preprocess import Crop, InputFormat, probe_image

PREFIX = "folder:"
FOLDER_NAME = "folder-"
"""What the name of a folder as a dataset begins with, in metadata and in the names of runs."""

DEFAULT_IMAGE_SIZE = 64
IMAGE_SIZES = (4, 1024)
"""The smallest and the largest side in pixels that images can be brought to."""

_CROPS: dict[FolderCrop, Crop] = {"centre": "center", "none": "stretch", "pad": "none"}
_GRAY_MODES = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F"}
_LOOKED_AT = 32
_GRAY_DIFFERENCE = 2
"""Of 255, between the channels of a pixel: what lossy formats make of gray."""


def is_own_folder(name: str) -> bool:
    return name.startswith(PREFIX)


def folder_path(name: str) -> Path:
    """PATH of `folder:PATH`, with a leading `~` replaced; UsageError without PATH or home folder."""
    path = name.removeprefix(PREFIX)
    if not path.strip():
        raise UsageError(
            f"{name!r} names no folder; expected folder:PATH, or folder:. for the current folder"
        )
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{name!r} names no folder: {error}; expected folder:PATH") from error


def require_outside(dataset: str | Path, written: Path, option: str = "--out") -> None:
    """Raise UsageError where `written` is in the folder that `dataset` is or names: it would count as a class."""
    if isinstance(dataset, str):
        if not is_own_folder(dataset):
            return
        dataset = folder_path(dataset)
    if written.resolve().is_relative_to(dataset.resolve()):
        raise UsageError(
            f"{portable(str(written))} is inside {portable(str(dataset))}, whose folders are classes or splits; "
            f"choose a place outside it with {option}"
        )


def own_folder(
    path: Path,
    image_size: int | None = None,
    *,
    crop: FolderCrop = "centre",
    channels: FolderChannels = "auto",
    split: SplitRule | None = None,
    target: InputFormat | None = None,
) -> Dataset:
    """The dataset in `path`: class folders, or `train/` with optional `val/` and `test/` that hold them.

    Without `test/`, `val/` is the test split; without both, a fifth of every class is, always the same one; `split`
    says otherwise, by default the folder's split.csv. Images are brought to `image_size` pixels square, or to a model's
    input, `target`, which has its own `crop` and `channels`.

    Raises:
        DataError: no such folder, fewer than two classes, or a split with other classes.
        UsageError: an image size out of range, or a split that the folder cannot have.
    """
    smallest, largest = IMAGE_SIZES
    if image_size is not None and not smallest <= image_size <= largest:
        raise UsageError(
            f"image size {image_size} is out of range; expected {smallest} to {largest} pixels per side"
        )
    layout = read_layout(path)
    labels = check_classes(layout, at_least=2)
    size = DEFAULT_IMAGE_SIZE if image_size is None else image_size
    if target is None:
        depth = 1 if channels == "gray" or (channels == "auto" and _is_gray(layout)) else 3
        target = InputFormat(channels=depth, height=size, width=size, crop=_CROPS[crop])
    rule = SplitRule(file=split_file_in(path)) if split is None else split
    rule.check(portable(str(path)), has_splits=layout.split)
    return Dataset(
        name=folder_name(path),
        title=f"images in {portable(str(path))}",
        labels=labels,
        input=target,
        mean=(0.5,) * target.channels,
        std=(0.5,) * target.channels,
        train_images=None,
        test_images=None,
        loader=lambda _data_dir: load_contents(read_contents(layout), labels, target, rule),
    )


def _is_gray(layout: Layout) -> bool:
    """Whether no image shows colours, by the headers of all that can be read and the pixels of some.

    An image of one channel shows none. Of the others, about `_LOOKED_AT` are decoded, spread evenly over each class, at
    least one of every class: no two channels of a pixel may differ by more than `_GRAY_DIFFERENCE`.
    """
    coloured: dict[str, list[Path]] = {}
    found = False
    for file in layout.look_through().pictures:
        place = layout.place(file)
        if place is None:
            continue
        try:
            mode = probe_image(file.path.read_bytes()).mode
        except (ImageError, OSError):
            continue
        found = True
        if mode in _GRAY_MODES:
            continue
        if not coloured and _shows_colours(file.path):
            return False
        coloured.setdefault(place[1], []).append(file.path)
    for paths in coloured.values():
        if any(map(_shows_colours, paths[:: -(-len(paths) * len(coloured) // _LOOKED_AT)])):
            return False
    return found


def _shows_colours(path: Path) -> bool:
    """Whether channels differ in a pixel of the image; False for one that cannot be read."""
    try:
        status = path.stat()
    except OSError:
        return False
    return _pixels_show_colours(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _pixels_show_colours(path: Path, _size: int, _modified: int) -> bool:
    try:
        pixels = np.asarray(open_image(path).convert("RGB")).astype(np.int16)
    except ImageError:
        return False
    return bool((pixels.max(axis=2) - pixels.min(axis=2)).max() > _GRAY_DIFFERENCE)


def folder_name(path: Path) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", path.resolve().name).strip("._-")[:60]
    return f"{FOLDER_NAME}{name or 'images'}"
