"""Datasets: labels, input format, statistics and a loader."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vision_zoo.core.errors import DataError
from vision_zoo.core.progress import Progress
from vision_zoo.core.tables import counted
from vision_zoo.data.scan import listed
from vision_zoo.images.preprocess import InputFormat


class SourceFile(NamedTuple):
    """Where an image came from: a path below the dataset's folder, and its content's SHA-256 where that is known."""

    name: str
    sha256: str = ""


@dataclass(frozen=True, eq=False)
class Split:
    """Images uint8 `[n, height, width, channels]` and labels int64 `[n]`, indices into the dataset's labels.

    `files` says of each image where it came from; it is empty where images are no files.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    files: tuple[SourceFile, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> "Split":
        files = tuple(self.files[index] for index in indices) if self.files else ()
        return Split(self.images[indices], self.labels[indices], files)

    def spread(self, count: int) -> "Split":
        """So many images at even distances, copied: some datasets come class by class."""
        return self.take(np.linspace(0, len(self) - 1, count).astype(int))


@dataclass(frozen=True, eq=False)
class Splits:
    """A loaded dataset. `variant` says which copy it is (`original`, `JPEG copy`), `sha256` of which content.

    `validation` is a split of its own where the data has one. `skipped` are unreadable pictures, which only a user's
    own folder may have; `notes` is what else the user should know. `former_sha256` gives the content's hash of earlier
    versions. `drawn` says that the test split was drawn here, from a folder that has none of its own.
    """

    train: Split
    test: Split
    variant: str
    sha256: str
    validation: Split | None = None
    skipped: tuple[SourceFile, ...] = ()
    notes: tuple[str, ...] = ()
    former_sha256: Callable[[], str] | None = None
    drawn: bool = False

    def has_content(self, sha256: object) -> bool:
        """Whether that is the content's hash, of this version or an earlier one."""
        if sha256 == self.sha256:
            return True
        return self.former_sha256 is not None and sha256 is not None and sha256 == self.former_sha256()

    def named(self) -> dict[str, Split]:
        """The splits by name, `validation` only where there is one."""
        splits = {"train": self.train, "test": self.test}
        return splits if self.validation is None else {**splits, "validation": self.validation}


def require_folder(data_dir: Path, dataset: str) -> None:
    if not data_dir.is_dir():
        kind = "is not a folder" if data_dir.exists() else "does not exist"
        raise DataError(f"data folder {data_dir} {kind}; expected a folder with the dataset {dataset}")


def report_skipped(splits: Splits, progress: Progress) -> None:
    """Warn of what is in the data but not used, of classes that a split lacks, and of pictures in two splits."""
    if splits.skipped:
        progress.line(
            f"warning: skipped {counted(len(splits.skipped), 'unreadable image')}: "
            f"{listed([file.name for file in splits.skipped])}"
        )
    for note in (*splits.notes, *_in_two_splits(splits)):
        progress.line(f"warning: {note}")


def _in_two_splits(splits: Splits) -> Iterator[str]:
    """What to know of a user's pictures that are held out and, decoded, equal to others that are not."""
    known: dict[bytes, str] = {}
    for name in ("train", "validation", "test"):
        split = splits.named().get(name)
        if split is None or not split.files or not split.files[0].sha256:
            continue
        hashes = [hashlib.sha256(image).digest() for image in split.images]
        names = [file.name for file in split.files]
        equal = [(file, known[key]) for file, key in zip(names, hashes, strict=True) if key in known]
        if equal:
            yield (
                f"{len(equal):,} of {len(split):,} images of the {name} split are also in another split "
                f"({equal[0][0]} is {equal[0][1]}): its accuracy is too high; remove them from one of the splits"
            )
        known = dict(zip(hashes, names, strict=True)) | known


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset. `mean` and `std` are of the training pixels scaled to [0, 1], one value per channel.

    `train_images` and `test_images` are what a complete copy has, None if any number will do.
    `drawn_from` names a dataset whose training split contains these images.
    `licence` is what its makers allow, `source` where they describe it.
    `loader` takes an explicit data folder or None and gives the splits; call `load` instead.
    """

    name: str
    title: str
    labels: tuple[str, ...]
    input: InputFormat
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train_images: int | None
    test_images: int | None
    loader: Callable[[Path | None], Splits]
    drawn_from: str | None = None
    licence: str = "not known"
    source: str = ""

    def load(self, data_dir: Path | None = None) -> Splits:
        """Load into memory, decoded once and cached; DataError for missing, truncated or foreign files."""
        if data_dir is not None:
            require_folder(data_dir, self.name)
        splits = self.loader(data_dir)
        self.check(splits)
        return splits

    def check(self, splits: Splits) -> None:
        """Raise DataError where `splits` do not hold this dataset."""
        for name, split in splits.named().items():
            if not len(split):
                raise DataError(
                    f"the {name} split of {self.name} is empty; restore the data or download it again"
                )
            if split.images.shape != (len(split), *self.input.shape):
                raise DataError(
                    f"the {name} split of {self.name} has images of {list(split.images.shape)} for {len(split)} labels, "
                    f"expected {[len(split), *self.input.shape]}; restore the data or download it again"
                )
            expected = {"train": self.train_images, "test": self.test_images}.get(name)
            if expected is not None and len(split) != expected:
                raise DataError(
                    f"the {name} split of {self.name} has {len(split):,} images, expected {expected:,}: "
                    "the copy is incomplete; restore the data or download it again"
                )
            if split.labels.min() < 0 or split.labels.max() >= len(self.labels):
                raise DataError(
                    f"the {name} split of {self.name} has labels outside 0 to {len(self.labels) - 1}; "
                    "restore the data or download it again"
                )
