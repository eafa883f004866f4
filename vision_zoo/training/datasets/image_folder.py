"""A dataset as a tree of image files, or a tar or zip of one: `train/<class>/…` and `test/<class>/…` (or `val`)."""

import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from vision_zoo.errors import DataError, ImageError
from vision_zoo.preprocess import InputFormat, open_image, prepare
from vision_zoo.training.datasets.cache import content_hash, decoded_once
from vision_zoo.training.datasets.dataset import Split, Splits

_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".zip")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".pgm", ".ppm")
_SPLITS = {"train": "train", "test": "test", "val": "test"}
_NAMED_FAILURES = 3
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,  # an encrypted zip
    NotImplementedError,  # a compression that zipfile does not know
)


@dataclass(frozen=True)
class ImageFiles:
    """What the image files of a tree are like: their suffixes in lower case and their sizes (width, height)."""

    suffixes: frozenset[str]
    sizes: frozenset[tuple[int, int]]


def _as_image_files(_files: ImageFiles) -> str:
    return "image files"


def find_image_folder(folder: Path) -> Path | None:
    """The image tree in `folder` (`folder` itself) or the one archive in it; None where there is neither."""
    if (folder / "train").is_dir():
        return folder
    if not folder.is_dir():
        return None
    archives = sorted(path for path in folder.iterdir() if path.name.endswith(_ARCHIVES))
    return archives[0] if len(archives) == 1 else None


def load_image_folder(
    dataset: str,
    source: Path,
    folders: Sequence[str],
    target: InputFormat,
    *,
    variant: Callable[[ImageFiles], str] = _as_image_files,
) -> Splits:
    """Load the images of a tree or archive, in the order of their paths.

    `folders` are the classes' folder names in the order of the labels; a label itself will do, whatever
    its case and punctuation. `variant` names the copy by what its files are like. The images are taken as
    they are: scaled where their size differs, but neither inverted nor centred.

    Raises:
        DataError: a split or class is missing, a folder is no class, or files are no images; the message
            counts them and names the first.
    """
    files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
    key = content_hash(files)
    as_stored = replace(target, polarity="any", centring="none")
    return decoded_once(dataset, key, lambda: _decode(source, folders, as_stored, variant, key))


def _decode(
    source: Path,
    folders: Sequence[str],
    target: InputFormat,
    variant: Callable[[ImageFiles], str],
    key: str,
) -> Splits:
    index = {_folded(folder): number for number, folder in enumerate(folders)}
    found: dict[str, list[tuple[str, int, NDArray[np.uint8]]]] = {"train": [], "test": []}
    failures = []
    suffixes, sizes = set(), set()
    for path, content in _images(source):
        split, folder = _SPLITS.get(path.parts[-3]), path.parts[-2]
        if split is None:
            continue
        if _folded(folder) not in index:
            raise DataError(
                f"{source} has a folder {folder!r}, expected one of the classes {', '.join(folders)}"
            )
        try:
            image = open_image(content)
            pixels = prepare(image, target)
        except ImageError:
            failures.append(str(path))
        else:
            found[split].append((str(path), index[_folded(folder)], pixels))
            suffixes.add(path.suffix.lower())
            sizes.add(image.size)
    if failures:
        named = ", ".join(failures[:_NAMED_FAILURES])
        raise DataError(
            f"{source} has {len(failures)} files that are no images: {named}; restore or remove them"
        )
    for split, entries in found.items():
        if not entries:
            raise DataError(
                f"{source} has no images for the {split} split; expected {split}/<class>/<image files>"
            )
    return Splits(
        train=as_split(found["train"]),
        test=as_split(found["test"]),
        variant=variant(ImageFiles(frozenset(suffixes), frozenset(sizes))),
        sha256=key,
    )


def as_split(entries: Sequence[tuple[str, int, NDArray[np.uint8]]]) -> Split:
    """(path, label, pixels) of every image as one split, in the order of the paths."""
    ordered = sorted(entries, key=lambda entry: entry[0])
    labels = np.array([label for _, label, _ in ordered], dtype=np.int64)
    return Split(np.stack([pixels for _, _, pixels in ordered]), labels)


def _images(source: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Path and content of every image file that lies at least two folders deep."""
    try:
        for name, content in _members(source):
            path = PurePosixPath(name)
            if (
                len(path.parts) >= 3
                and path.suffix.lower() in IMAGE_SUFFIXES
                and not path.name.startswith(".")
            ):
                yield path, content
    except _DAMAGED as error:
        raise DataError(
            f"{source} is damaged or truncated ({error}); restore it or download it again"
        ) from error


def _members(source: Path) -> Iterator[tuple[str, bytes]]:
    if source.is_dir():
        for file in source.rglob("*"):
            if file.is_file():
                yield file.relative_to(source.parent).as_posix(), file.read_bytes()
    elif source.suffix == ".zip":
        with zipfile.ZipFile(source) as archive:
            for entry in archive.infolist():
                if not entry.is_dir():
                    yield entry.filename, archive.read(entry)
    else:
        with tarfile.open(source) as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                if content is not None:
                    yield member.name, content.read()


def _folded(label: str) -> str:
    """`T-shirt/top` and `t-shirt_top` are the same class: a folder's name cannot hold every label."""
    return re.sub(r"[^a-z0-9]+", "_", label.lower())
