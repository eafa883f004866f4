"""A user's image folder as a dataset: `folder:PATH`, one sub-folder per class, images of any size."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from vision_zoo.core.errors import DataError, UsageError
from vision_zoo.data.cache import decoded_once, file_hash
from vision_zoo.data.dataset import Dataset, Splits
from vision_zoo.data.differences import FileRow, former_sha256
from vision_zoo.data.image_folder import Picture, decode
from vision_zoo.data.layout import Layout, check_classes, notes_of, read_layout
from vision_zoo.data.scan import IMAGE_SUFFIXES, FoundFile, listed, look_through, portable
from vision_zoo.data.split import stratified_holdout
from vision_zoo.images.preprocess import InputFormat

PREFIX = "folder:"
FOLDER_NAME = "folder-"
"""What the name of a folder as a dataset begins with, in metadata and in the names of runs."""

DEFAULT_IMAGE_SIZE = 64
IMAGE_SIZES = (4, 1024)
"""The smallest and the largest side in pixels that images can be brought to."""

_TEST_FRACTION = 0.2
_SPLIT_SEED = 0  # the test images stay the same whatever seed a run has
_SPLIT_RULE = f"a fifth, seed {_SPLIT_SEED}, one of every class"


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


@dataclass(frozen=True)
class Contents:
    """What a folder holds: its pictures in the order of their names, and what the user should know of the rest."""

    layout: Layout
    pictures: tuple[Picture, ...]
    notes: tuple[str, ...]


def own_folder(path: Path, image_size: int | None = None, *, target: InputFormat | None = None) -> Dataset:
    """The dataset in `path`: class folders, or `train/` with optional `val/` and `test/` that hold them.

    Without `test/`, `val/` is the test split; without both, a fifth of every class is, always the same one. Images are
    brought to `image_size` pixels square, in colour, or to a model's input, `target`.

    Raises:
        DataError: no such folder, fewer than two classes, or a split with other classes.
        UsageError: an image size out of range.
    """
    smallest, largest = IMAGE_SIZES
    if image_size is not None and not smallest <= image_size <= largest:
        raise UsageError(
            f"image size {image_size} is out of range; expected {smallest} to {largest} pixels per side"
        )
    layout = read_layout(path)
    labels = check_classes(layout, at_least=2)
    size = DEFAULT_IMAGE_SIZE if image_size is None else image_size
    target = target or InputFormat(channels=3, height=size, width=size)
    return Dataset(
        name=folder_name(path),
        title=f"images in {portable(str(path))}",
        labels=labels,
        input=target,
        mean=(0.5,) * target.channels,
        std=(0.5,) * target.channels,
        train_images=None,
        test_images=None,
        loader=lambda _data_dir: load_contents(read_contents(layout), labels, target),
    )


def folder_name(path: Path) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", path.resolve().name).strip("._-")[:60]
    return f"{FOLDER_NAME}{name or 'images'}"


def read_contents(layout: Layout) -> Contents:
    """Find and hash the pictures of a folder; DataError if a folder cannot be read, or a split has no pictures."""
    found = layout.look_through()
    pictures = []
    for file in found.pictures:
        place = layout.place(file)
        if place is not None:
            pictures.append(Picture(file, *place, _hash_where_readable(file)))
    for name, folder in layout.folders.items():
        if not any(picture.split == name for picture in pictures):
            suffixes = ", ".join(sorted(IMAGE_SUFFIXES))
            raise DataError(
                f"{portable(str(folder))} has no image files in class folders; expected {suffixes}"
            )
    return Contents(layout, tuple(pictures), notes_of(layout, found))


def training_pictures(path: Path) -> int:
    """Count the pictures in `path` that are for training, those that cannot be read too; DataError as `read_layout`."""
    layout = read_layout(path)
    places = [layout.place(file) for file in layout.look_through().pictures]
    count = sum(place is not None and place[0] == "train" for place in places)
    return count if "test" in layout.folders else count - round(count * _TEST_FRACTION)


def pictures_below(path: Path) -> list[FileRow]:
    """All pictures in the sub-folders of `path`, without split and label; DataError if a folder cannot be read."""
    found = look_through(path)
    return [
        FileRow("", file.name, "", _hash_where_readable(file))
        for file in found.pictures
        if len(file.parts) > 1
    ]


def _hash_where_readable(file: FoundFile) -> str:
    """The content's SHA-256; empty where the file cannot be read, and is left out like one that is damaged."""
    try:
        return file_hash(file.path)
    except DataError:
        return ""


def load_contents(contents: Contents, labels: Sequence[str], target: InputFormat) -> Splits:
    """Decode a folder's pictures, or take them from the cache; `labels` gives the order of the classes.

    Raises DataError for a picture of another class, or a class with fewer than two readable pictures.
    """
    rows = [
        [picture.file.name, picture.split, picture.label, picture.sha256] for picture in contents.pictures
    ]
    described = {"labels": list(labels), "input": asdict(target), "rule": _SPLIT_RULE}
    splits = decoded_once("folder", {**described, "files": rows}, lambda: _split(contents, labels, target))
    rare = _missing_classes(splits, labels)
    former = partial(former_sha256, contents.layout, splits, target)
    return replace(splits, notes=(*contents.notes, *rare), former_sha256=former)


def pictures_to_score(path: Path, labels: Sequence[str], target: InputFormat) -> tuple[str, Splits]:
    """The pictures on which a model with `labels` is scored, as the test split: those in `test/`, else `all`.

    Their classes may be some of the labels, in any order.

    Raises:
        DataError: no such folder, a class that the model does not know, or no picture that can be read.
    """
    layout = read_layout(path, training=False)
    if "test" in layout.folders:
        layout = replace(layout, folders={"test": layout.folders["test"]})
    check_classes(layout, at_least=1)
    contents = read_contents(layout)
    by_name = {portable(label): label for label in labels}
    unknown = sorted({picture.label for picture in contents.pictures} - by_name.keys())
    if unknown:
        raise DataError(
            f"{portable(str(path))} has classes that the model does not know: {listed(unknown)}; expected some of "
            f"{listed(list(labels))}"
        )
    rows = [[picture.file.name, picture.label, picture.sha256] for picture in contents.pictures]
    described = {"labels": list(labels), "input": asdict(target), "rule": "all", "files": rows}

    def load() -> Splits:
        decoded = decode(contents.pictures, list(by_name), target, portable(str(path)))
        (split,) = decoded.splits.values()
        nothing = split.take(np.arange(0))
        return Splits(nothing, split, "own images", _hash_of(described), skipped=decoded.skipped)

    splits = replace(decoded_once("folder", described, load), notes=contents.notes)
    return ("test" if "test" in layout.folders else "all"), splits


def _hash_of(described: object) -> str:
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def _split(contents: Contents, labels: Sequence[str], target: InputFormat) -> Splits:
    layout = contents.layout
    decoded = decode(contents.pictures, labels, target, portable(str(layout.root)))
    train, test = decoded.splits["train"], decoded.splits.get("test")
    counts = np.bincount(train.labels, minlength=len(labels))
    few = [f"{label!r} has {count}" for label, count in zip(labels, counts, strict=True) if count < 2]
    if few:
        raise DataError(
            f"{portable(str(layout.folders['train']))} has classes with fewer than 2 images that can be read: "
            f"{listed(few)}; add images or remove the folders"
        )
    if test is None:
        held_out = max(round(len(train) * _TEST_FRACTION), len(np.unique(train.labels)))
        kept, out = stratified_holdout(train.labels, held_out, seed=_SPLIT_SEED)
        train, test = train.take(kept), train.take(out)
    content = [[picture.file.name, picture.sha256] for picture in contents.pictures]
    return Splits(
        train=train,
        test=test,
        validation=decoded.splits.get("validation"),
        variant="own images",
        sha256=_hash_of({"files": content, "input": asdict(target)}),
        skipped=decoded.skipped,
    )


def _missing_classes(splits: Splits, labels: Sequence[str]) -> list[str]:
    notes = []
    for name, split in splits.named().items():
        counts = np.bincount(split.labels, minlength=len(labels))
        missing = [label for label, count in zip(labels, counts, strict=True) if not count]
        if missing:
            notes.append(
                f"the {name} split has no picture of {listed(missing)}: its accuracy says nothing about that"
            )
    return notes
