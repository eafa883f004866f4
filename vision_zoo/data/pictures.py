"""Decode picture files to the arrays of a dataset."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision_zoo.core.errors import DataError, ImageError
from vision_zoo.data.dataset import SourceFile, Split
from vision_zoo.data.scan import FoundFile, listed
from vision_zoo.images.preprocess import InputFormat, open_image, prepare


@dataclass(frozen=True)
class Picture:
    """A picture file, the split and class it lies in, and its content's SHA-256 (empty: unreadable or not known)."""

    file: FoundFile
    split: str
    label: str
    sha256: str = ""


@dataclass(frozen=True)
class Decoded:
    """The images by split, in the order of their names, the files that are no images, and the images' (width, height)."""

    splits: dict[str, Split]
    skipped: tuple[SourceFile, ...]
    sizes: frozenset[tuple[int, int]]


def decode(pictures: Iterable[Picture], labels: Sequence[str], target: InputFormat, where: str) -> Decoded:
    """Decode the pictures of a folder or archive, which messages call `where`.

    Raises DataError for a label that is none of `labels`, or a split without a readable picture.
    """
    index = {label: number for number, label in enumerate(labels)}
    found: dict[str, list[tuple[SourceFile, int, NDArray[np.uint8]]]] = {}
    skipped: list[SourceFile] = []
    sizes = set()
    for picture in pictures:
        if picture.label not in index:
            raise DataError(f"{where} has a class {picture.label!r}; expected one of {listed(list(labels))}")
        entries = found.setdefault(picture.split, [])
        source = SourceFile(picture.file.name, picture.sha256)
        try:
            image = open_image(picture.file.path if picture.file.content is None else picture.file.content)
            entries.append((source, index[picture.label], prepare(image, target)))
        except (ImageError, OSError):
            skipped.append(source)
        else:
            sizes.add(image.size)
    if not all(found.values()):
        raise DataError(
            f"{where} has no image that can be read ({len(skipped):,} cannot: "
            f"{listed([file.name for file in skipped])}); expected image files in class folders"
        )
    splits = {}
    for name, entries in found.items():
        files, numbers, images = zip(*sorted(entries, key=lambda entry: entry[0].name), strict=True)
        splits[name] = Split(np.stack(images), np.array(numbers, dtype=np.int64), files)
    return Decoded(splits, tuple(skipped), frozenset(sizes))
