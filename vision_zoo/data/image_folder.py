"""Datasets of image files, in folders or in a tar or zip: `train/<class>/…` and `test/<class>/…` (or `val`)."""

import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from vision_zoo.core.errors import DataError, ImageError
from vision_zoo.data.cache import content_hash, decoded_once
from vision_zoo.data.dataset import SourceFile, Split, Splits
from vision_zoo.data.scan import (
    SPLIT_NAMES,
    FoundFile,
    is_ignored,
    is_picture,
    listed,
    look_through,
    portable,
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


@dataclass(frozen=True)
class ImageFiles:
    """What the image files of a tree are like: their suffixes in lower case and their sizes (width, height)."""

    suffixes: frozenset[str]
    sizes: frozenset[tuple[int, int]]


def _as_image_files(_files: ImageFiles) -> str:
    return "image files"


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
    pictures = None if files is None else files.pictures
    return decoded_once(
        dataset, depends_on, lambda: _decode(source, pictures, folders, as_stored, variant, key)
    )


def _decode(
    source: Path,
    files: Sequence[FoundFile] | None,
    folders: Sequence[str],
    target: InputFormat,
    variant: Callable[[ImageFiles], str],
    key: str,
) -> Splits:
    index = {_folded(folder): number for number, folder in enumerate(folders)}
    found: dict[str, list[tuple[str, int, NDArray[np.uint8]]]] = {}
    failures = []
    suffixes, sizes = set(), set()
    for path, content in _archived(source) if files is None else _read(files):
        split, folder = SPLIT_NAMES.get(path.parts[-3].lower()), path.parts[-2]
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
            found.setdefault(split, []).append((portable(str(path)), index[_folded(folder)], pixels))
            suffixes.add(path.suffix.lower())
            sizes.add(image.size)
    if failures:
        raise DataError(
            f"{source} has {len(failures):,} files that are not images: {listed(failures)}; restore or remove them"
        )
    if "test" not in found and "validation" in found:
        found["test"] = found.pop("validation")
    for split in ("train", "test"):
        if split not in found:
            raise DataError(
                f"{source} has no images for the {split} split; expected {split}/<class>/<image files>"
            )
    return Splits(
        train=_as_split(found["train"]),
        test=_as_split(found["test"]),
        variant=variant(ImageFiles(frozenset(suffixes), frozenset(sizes))),
        sha256=key,
    )


def _as_split(entries: Sequence[tuple[str, int, NDArray[np.uint8]]]) -> Split:
    """(path, label, pixels) of every image as one split, in the order of the paths."""
    ordered = sorted(entries, key=lambda entry: entry[0])
    labels = np.array([label for _, label, _ in ordered], dtype=np.int64)
    files = tuple(SourceFile(name) for name, _, _ in ordered)
    return Split(np.stack([pixels for _, _, pixels in ordered]), labels, files)


def _read(files: Sequence[FoundFile]) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Path and content of every picture that lies at least two folders deep."""
    for file in files:
        path = PurePosixPath(*file.parts)
        if len(path.parts) >= 3:
            yield path, file.path.read_bytes()


def _archived(source: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Path and content of every picture in an archive that lies at least two folders deep."""
    try:
        for name, content in _members(source):
            path = PurePosixPath(name)
            hidden = any(is_ignored(part) for part in path.parts)
            if len(path.parts) >= 3 and not hidden and is_picture(path.name, content):
                yield path, content
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
