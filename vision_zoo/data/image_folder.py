"""Datasets of image files, in folders or in a tar or zip: `train/<class>/…` and `test/<class>/…` (or `val`)."""

import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vision_zoo.core.errors import DataError, ImageError
from vision_zoo.core.tables import counted
from vision_zoo.core.threads import in_order
from vision_zoo.data.cache import content_hash, decoded_once
from vision_zoo.data.dataset import SourceFile, Split, Splits
from vision_zoo.data.scan import (
    SPLIT_NAMES,
    FoundFile,
    is_ignored,
    is_picture,
    listed,
    look_through,
    subfolders,
)
from vision_zoo.data.sources import remedy
from vision_zoo.images.preprocess import InputFormat, open_image, prepare

_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".zip")
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
_LARGE = 32 * 2**10
"""Bytes of a file that takes most of its time in Pillow, not in Python."""


@dataclass(frozen=True)
class Picture:
    """A picture file, the split and class it lies in, and its content's SHA-256 (empty: unreadable or not known)."""

    file: FoundFile
    split: str
    label: str
    sha256: str = ""


@dataclass(frozen=True, eq=False)
class Decoded:
    """The images by split, in the order of their names, the files that are no images, and the images' (width, height)."""

    splits: dict[str, Split]
    skipped: tuple[SourceFile, ...]
    sizes: frozenset[tuple[int, int]]


class _Image(NamedTuple):
    """A decoded picture, and its (width, height) in the file."""

    pixels: NDArray[np.uint8]
    size: tuple[int, int]


def decode(pictures: Iterable[Picture], labels: Sequence[str], target: InputFormat, where: str) -> Decoded:
    """Decode the pictures of a folder or archive, which messages call `where`.

    Raises DataError for a label that is none of `labels`, or a split without a readable picture.
    """
    index = {label: number for number, label in enumerate(labels)}
    found: dict[str, list[tuple[SourceFile, int, NDArray[np.uint8]]]] = {}
    skipped: list[SourceFile] = []
    sizes = set()

    def known() -> Iterator[Picture]:
        for picture in pictures:
            if picture.label not in index:
                raise DataError(
                    f"{where} has a class {picture.label!r}; expected one of {listed(list(labels))}"
                )
            yield picture

    def decoded(picture: Picture) -> tuple[Picture, _Image | None]:
        return picture, _decode(picture.file, target)

    for picture, image in in_order(decoded, known(), is_long=lambda picture: picture.file.size >= _LARGE):
        entries = found.setdefault(picture.split, [])
        source = SourceFile(picture.file.name, picture.sha256)
        if image is None:
            skipped.append(source)
        else:
            entries.append((source, index[picture.label], image.pixels))
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


def _decode(file: FoundFile, target: InputFormat) -> _Image | None:
    """The picture as `target` says; None for a file that cannot be read."""
    try:
        image = open_image(file.path if file.content is None else file.content)
        return _Image(prepare(image, target), image.size)
    except (ImageError, OSError):
        return None


def find_image_folder(folder: Path) -> Path | None:
    """The image tree in `folder` (`folder` itself) or the one archive in it; None if there is neither."""
    if not folder.is_dir():
        return None
    if any(SPLIT_NAMES.get(entry.name.lower()) == "train" for entry in subfolders(folder)):
        return folder
    archives = sorted(path for path in folder.iterdir() if path.name.endswith(_ARCHIVES))
    return archives[0] if len(archives) == 1 else None


def load_image_folder(
    dataset: str,
    source: Path,
    folders: Sequence[str],
    target: InputFormat,
    *,
    variant: Callable[[Decoded], str] = lambda _: "image files",
) -> Splits:
    """Load the images of a tree or archive, in the order of their paths.

    `folders` are the classes' folder names in the order of the labels; case and punctuation do not count. `variant`
    names the copy by what its files are like. Images are scaled where their size differs, but neither inverted nor
    centred.

    Raises:
        DataError: a split is missing, a folder is no class, or files are no images.
    """
    files = look_through(source) if source.is_dir() else None
    paths = [source] if files is None else [file.path for file in (*files.pictures, *files.others)]
    key = content_hash(sorted(paths))
    as_stored = replace(target, polarity="any", centring="none")
    depends_on = {
        "content": key,
        # A picture that is moved from the end of one class to the beginning of the next changes no content.
        "names": sorted(path.relative_to(source if files else source.parent).as_posix() for path in paths),
        "folders": list(folders),
        "input": asdict(as_stored),
    }

    def load() -> Splits:
        pictures = _in_classes(_archived(source) if files is None else files.pictures, folders)
        decoded = decode(pictures, folders, as_stored, str(source))
        if decoded.skipped:
            names = [file.name for file in decoded.skipped]
            raise DataError(
                f"{source} has {counted(len(names), 'unreadable image')}: {listed(names)}; restore or remove what is "
                "listed"
            )
        splits = dict(decoded.splits)
        if "test" not in splits and "validation" in splits:
            splits["test"] = splits["validation"]
        for name in ("train", "test"):
            if name not in splits:
                raise DataError(
                    f"{source} has no images for the {name} split; expected {name}/<class>/<image files>"
                )
        return Splits(splits["train"], splits["test"], variant(decoded), key)

    return decoded_once(dataset, depends_on, load)


def _in_classes(files: Iterable[FoundFile], folders: Sequence[str]) -> Iterator[Picture]:
    """The files that lie in a class folder of a split."""
    labels = {_folded(folder): folder for folder in folders}
    for file in files:
        split = SPLIT_NAMES.get(file.parts[-3].lower()) if len(file.parts) >= 3 else None
        if split is not None:
            yield Picture(file, split, labels.get(_folded(file.parts[-2]), file.parts[-2]))


def _archived(source: Path) -> Iterator[FoundFile]:
    try:
        for name, content in _members(source):
            parts = PurePosixPath(name).parts
            if parts and not any(map(is_ignored, parts)) and is_picture(parts[-1], content):
                yield FoundFile(source, parts, content)
    except _DAMAGED as error:
        raise DataError(f"{source} is damaged or truncated ({error}); {remedy(source)}") from error


def _members(source: Path) -> Iterator[tuple[str, bytes]]:
    if source.suffix == ".zip":
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
