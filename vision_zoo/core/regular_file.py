"""Safe reading of paths that may be pipes, devices, folders or huge files."""

import errno
import os
import stat
from pathlib import Path

_OPTIONS = (
    os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
)


def read(path: Path, *, max_bytes: int) -> bytes:
    """The content of a regular file, or of one that a symbolic link leads to; never waits for a writer.

    Raises OSError if it is missing, may not be read, is no regular file, or has more than `max_bytes`.
    """
    # Opening a device can do something already, and opening a pipe wakes its writer: look first.
    _check(path.stat(), max_bytes)
    descriptor = os.open(path, _OPTIONS)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        _check(status, max_bytes)
        parts, missing = [], status.st_size
        while missing > 0 and (part := file.read(missing)):
            parts.append(part)
            missing -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _check(status: os.stat_result, max_bytes: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file")
    if status.st_size > max_bytes:
        raise OSError(errno.EFBIG, f"It has {status.st_size:,} bytes, more than {max_bytes:,}")
