"""Scan of an image folder: image files, other files, and ignored ones.

A picture is known by its first bytes or by its suffix. Hidden files and folders, and those that operating systems,
file servers and notebooks leave behind, are left alone. Links are followed.
"""

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vision_zoo.core.errors import DataError

_SUFFIXES = "png apng jpg jpeg jpe jfif webp bmp dib gif tif tiff pgm ppm pbm pnm avif"
IMAGE_SUFFIXES = frozenset(f".{suffix}" for suffix in _SUFFIXES.split())
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""What a folder of that name, in lower case, holds."""

_LEFT_BEHIND = frozenset(
    (
        "__macosx",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "icon\r",
        "$recycle.bin",
        "recycler",
        "system volume information",
        "lost+found",
        "__pycache__",
        "#recycle",
        "#snapshot",
    )
)
_SIGNATURES = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|II[*+]\0|MM\0[*+]|RIFF.{4}WEBP|.{4}ftyp(?:avif|avis)"
    rb"|BM.{4}\0\0\0\0|P[1-6][\s#]",
    re.DOTALL,
)
_SIGNATURE_LENGTH = 16
_NAMED = 3


@dataclass(frozen=True)
class FoundFile:
    """A file and its `parts`: the names of the folders below the one that was looked through, and its own.

    `content` is that of a file in an archive, whose path is the archive's.
    """

    path: Path
    parts: tuple[str, ...]
    content: bytes | None = None

    @property
    def name(self) -> str:
        """The path below the folder with `/` between the parts, as text that is valid everywhere."""
        return "/".join(map(portable, self.parts))

    @property
    def size(self) -> int:
        """The file's bytes; 0 where it cannot be looked at."""
        if self.content is not None:
            return len(self.content)
        try:
            return self.path.stat().st_size
        except OSError:
            return 0


@dataclass
class Found:
    """What is in a folder, in the order of the names: pictures, other files, and the names of what was ignored."""

    pictures: list[FoundFile] = field(default_factory=list)
    others: list[FoundFile] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


def is_ignored(name: str) -> bool:
    """Whether a file or folder of that name is hidden or left behind by some program."""
    return name.startswith((".", "@")) or name.lower() in _LEFT_BEHIND


def is_picture(name: str, head: bytes) -> bool:
    """Whether a file looks like a picture, by its suffix or its first bytes."""
    return Path(name).suffix.lower() in IMAGE_SUFFIXES or _SIGNATURES.match(head) is not None


def portable(name: str) -> str:
    """A file's name as valid Unicode: composed (NFC), with bytes that are no UTF-8 escaped."""
    return unicodedata.normalize("NFC", name).encode("utf-8", "backslashreplace").decode()


def listed(names: Sequence[str]) -> str:
    """A few of `names` as one line, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(map(_in_a_line, names[:_NAMED])) + (f" and {more:,} more" if more > 0 else "")


def _in_a_line(name: str) -> str:
    """A file's name with its control characters escaped."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in portable(name))


def cannot_be_read(path: Path, error: OSError) -> DataError:
    return DataError(f"{portable(str(path))} cannot be read: {error.strerror}; check its permissions")


def subfolders(folder: Path) -> list[Path]:
    """The folders in `folder` by name, links to folders too, without the ignored ones.

    Raises:
        DataError: it cannot be read.
    """
    return [
        Path(entry.path) for entry in _entries(folder) if not is_ignored(entry.name) and _is_folder(entry)
    ]


def look_through(
    root: Path, folders: Iterable[Path] | None = None, *, refused: dict[Path, DataError] | None = None
) -> Found:
    """All that lies below `root`, or below those of its `folders` only.

    Raises:
        DataError: a folder cannot be read, or links make a folder appear twice: a picture would count twice, in
            training and in test even. With `refused` such folders are put there, the others
            are gone through, and links that lead nowhere count as pictures.
    """
    found = Found()
    seen: dict[str, Path] = {}
    waiting: list[tuple[Path, tuple[str, ...]]] = []
    if folders is None:
        waiting.append((root, ()))
    else:
        waiting.extend((folder, (folder.name,)) for folder in folders)
    while waiting:
        folder, parts = waiting.pop()
        try:
            entries = _entries_of_new(folder, seen)
        except DataError as error:
            if refused is None:
                raise
            refused[folder] = error
            continue
        for entry in entries:
            inside = (*parts, entry.name)
            if is_ignored(entry.name):
                found.ignored.append("/".join(inside))
            elif _is_folder(entry):
                waiting.append((Path(entry.path), inside))
            elif _is_picture_file(entry) or (refused is not None and _is_broken_link(entry)):
                found.pictures.append(FoundFile(Path(entry.path), inside))
            else:
                found.others.append(FoundFile(Path(entry.path), inside))
    found.pictures.sort(key=lambda file: file.name)
    found.others.sort(key=lambda file: file.name)
    found.ignored.sort()
    return found


def _entries_of_new(folder: Path, seen: dict[str, Path]) -> list[os.DirEntry[str]]:
    same = seen.setdefault(os.path.realpath(folder), folder)
    if same is not folder:
        raise DataError(
            f"{portable(str(folder))} and {portable(str(same))} are the same folder, by a link; remove one of them"
        )
    return _entries(folder)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise cannot_be_read(folder, error) from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_picture_file(entry: os.DirEntry[str]) -> bool:
    try:
        if not entry.is_file():
            return False
        if Path(entry.name).suffix.lower() in IMAGE_SUFFIXES:
            return True
        with Path(entry.path).open("rb") as file:
            return is_picture(entry.name, file.read(_SIGNATURE_LENGTH))
    except OSError:  # not ours to read
        return False


def _is_broken_link(entry: os.DirEntry[str]) -> bool:
    """Whether it is called as a picture and leads nowhere."""
    called_so = Path(entry.name).suffix.lower() in IMAGE_SUFFIXES
    return called_so and entry.is_symlink() and not os.access(entry.path, os.F_OK)
