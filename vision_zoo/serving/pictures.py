"""Find the pictures that a command is given: files, folders, patterns, a list of names, or standard input."""

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from vision_zoo.core.errors import DataError, ImageError, UsageError
from vision_zoo.images.decode import MAX_BYTES

STDIN = "-"
_MAX_LIST_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Source:
    """The picture in the file `name`; or in `content`, or why there is none."""

    name: str
    content: bytes | ImageError | None = None


def find_pictures(inputs: Iterable[str], *, expand: bool = True) -> list[Source]:
    """Find the pictures of files, folders, patterns and `-`, in the order of `inputs`.

    A folder stands for the image files in it and below it, in the order of their names. With `expand`, a pattern (`*`,
    `?`, `[…]`, and `**` for folders) stands for what a shell would make of it, unless a file is called so, and `-` for
    the picture on standard input. Files are not opened here. What stands for no picture has an ImageError.
    """
    found: list[Source] = []
    for text in inputs:
        if not text:
            found.append(Source("", ImageError("the name of an image is empty; expected an image file")))
        elif expand and text == STDIN:
            found.append(Source(STDIN, _on_stdin()))
        elif os.path.isdir(text):  # noqa: PTH112  (pathlib raises for names that cannot be)
            found += _in_folder(text)
        elif expand and any(mark in text for mark in "*?[") and not os.path.lexists(text):
            matches = sorted(glob(os.path.expanduser(text), recursive=True))  # noqa: PTH111, PTH207  (absolute ones, too)
            found += find_pictures(matches, expand=False) if matches else [Source(text)]
        else:
            found.append(Source(text))
    return found


def read_names(path: str) -> list[str]:
    """The names in a text file, one a line, or each ended by a zero byte as `find -print0` does; `-` is standard input.

    Raises UsageError where it cannot be read.
    """
    try:
        content = sys.stdin.buffer.read(_MAX_LIST_BYTES) if path == STDIN else _first_bytes(path)
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror or error}; expected a text file with one file name per line"
        ) from error
    names = content.split(b"\0") if b"\0" in content else content.splitlines()
    return [os.fsdecode(name) for name in names if name]


def _first_bytes(path: str) -> bytes:
    with Path(path).open("rb") as file:  # which may be a pipe: `--files-from <(find …)`
        return file.read(_MAX_LIST_BYTES)


def _on_stdin() -> bytes | ImageError:
    if sys.stdin is None or sys.stdin.closed:
        return ImageError("- reads an image from standard input, which is closed; pipe a file into it")
    if sys.stdin.isatty():
        return ImageError("- reads an image from standard input, which is a terminal; pipe a file into it")
    content = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        return ImageError(
            f"standard input has more than {MAX_BYTES // 2**20} MiB; expected a smaller image file"
        )
    return content or ImageError("standard input is empty; expected an image file")


def _in_folder(folder: str) -> list[Source]:
    from vision_zoo.data.scan import IMAGE_SUFFIXES, look_through, portable

    refused: dict[Path, DataError] = {}
    files = look_through(Path(folder), refused=refused).pictures
    if not files and not refused:
        expected = ", ".join(sorted(IMAGE_SUFFIXES))
        return [Source(folder, ImageError(f"{portable(folder)} has no image files; expected {expected}"))]
    unread = [Source(str(path), ImageError(str(error))) for path, error in refused.items()]
    return [*(Source(str(file.path)) for file in files), *unread]
