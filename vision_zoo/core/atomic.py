"""Atomic file writes: a path holds either the old or the new content, never a part."""

import errno
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from vision_zoo.core.errors import StorageError

_REMEDIES = {
    errno.ENOSPC: "the disk is full: free some space and try again",
    errno.EDQUOT: "the disk quota is used up: free some space and try again",
    errno.EFBIG: "the file would exceed the size limit set for this process",
    errno.EACCES: "no permission to write there: choose another folder or change its permissions",
    errno.EPERM: "no permission to write there: choose another folder or change its permissions",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.ENOTDIR: "a part of that path is a file, not a folder: choose another folder",
    errno.EEXIST: "a file of that name is in the way: choose another folder",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
}


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`: temporary file beside it, flush, rename, flush the folder. See `write_together`."""
    write_together({path: content})


def write_keeping_former(path: Path, content: bytes, *, former: Path) -> None:
    """Write `content` to `path`, and keep what was there as `former`; whenever the process ends, one of the two is whole.

    Raises:
        StorageError: it cannot be written; `path` keeps its former content.
    """
    make_folder(path.parent)
    temporary = None
    try:
        temporary = _stage(path, content)
        if path.exists():
            path.replace(former)
        temporary.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        if not path.exists() and former.exists():
            former.replace(path)
        raise storage_error(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write several files: all are on the disk before the first is renamed, and a failed rename undoes the others.

    Raises:
        StorageError: one of them cannot be written; all keep their former contents.
    """
    staged: dict[Path, Path] = {}
    former: dict[Path, bytes | None] = {}
    path = Path()
    try:
        for path, content in contents.items():
            make_folder(path.parent)
            staged[path] = _stage(path, content)
        for path, temporary in staged.items():
            former[path] = path.read_bytes() if len(contents) > 1 and path.exists() else None
            temporary.replace(path)
            _flush_folder(path.parent)
    except OSError as error:
        former.pop(path, None)
        if len(contents) > 1:
            _restore(former)
        raise storage_error(path, error) from error
    finally:
        for temporary in staged.values():
            temporary.unlink(missing_ok=True)


@contextmanager
def staged(path: Path, content: bytes) -> Iterator[Path]:
    """A flushed temporary file with `content` beside `path`, removed at the end; StorageError if unwritable."""
    make_folder(path.parent)
    try:
        temporary = _stage(path, content)
    except OSError as error:
        raise storage_error(path, error) from error
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def rename(temporary: Path, path: Path) -> None:
    """Give a staged file its name. Raises OSError where that fails; `path` keeps its former content."""
    temporary.replace(path)
    _flush_folder(path.parent)


def _stage(path: Path, content: bytes) -> Path:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
    except BaseException:  # Ctrl-C too
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _restore(former: Mapping[Path, bytes | None]) -> None:
    for path, content in former.items():
        if content is None:
            path.unlink(missing_ok=True)
        else:
            _stage(path, content).replace(path)


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` as UTF-8; see `write_bytes`."""
    write_bytes(path, content.encode())


def sweep(folder: Path) -> None:
    """Remove what a killed process left half-written in `folder`, which nobody else may be writing to."""
    for left in folder.glob(".*.tmp"):
        left.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Create `path` and its parents; StorageError if they cannot be created."""
    try:
        if not path.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            _flush_folder(path.parent)
    except OSError as error:
        raise storage_error(path, error) from error


def require_writable(folder: Path) -> None:
    """Raise StorageError where `folder` can be neither made nor written to: before the work whose result it gets."""
    existing = folder
    while not os.access(existing, os.F_OK) and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise storage_error(folder, NotADirectoryError(errno.ENOTDIR, "not a folder"))
    if not os.access(existing, os.W_OK | os.X_OK):
        raise storage_error(folder, PermissionError(errno.EACCES, "no permission"))


def storage_error(path: Path, error: OSError) -> StorageError:
    """The one-line error for an operating system's refusal to write `path`."""
    remedy = _REMEDIES.get(error.errno or 0, error.strerror or str(error))
    return StorageError(f"cannot write {path}: {remedy}")


def _umask() -> int:
    # mkstemp creates files for their owner alone; a published file follows the umask.
    current = os.umask(0)
    os.umask(current)
    return current


def _flush_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder to flush it
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
