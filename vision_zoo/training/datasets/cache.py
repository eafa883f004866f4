"""Decode once: the arrays of a dataset as memory-mapped files in the user's cache, keyed by content."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

from vision_zoo.training.datasets.dataset import Split

_ARRAYS = {
    "train_images": np.uint8,
    "train_labels": np.int64,
    "test_images": np.uint8,
    "test_labels": np.int64,
}
_DECODER_VERSION = 1


def cache_folder() -> Path:
    """The user's cache folder of vision-zoo."""
    return user_cache_path("vision-zoo")


def content_hash(files: Iterable[Path]) -> str:
    """SHA-256 over the contents of `files` in the order given, as hexadecimal digits."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def decoded_once(dataset: str, key: str, decode: Callable[[], tuple[Split, Split]]) -> tuple[Split, Split]:
    """(train, test) from the cache entry for `key`, or from `decode`, which is then cached.

    A cache that cannot be read or written costs time, never a failure: the decoded arrays are used as
    they are.
    """
    folder = cache_folder() / "decoded" / f"{dataset}-v{_DECODER_VERSION}-{key[:24]}"
    cached = _read(folder)
    if cached is not None:
        return cached
    train, test = decode()
    _write(folder, train, test)
    return train, test


def _read(folder: Path) -> tuple[Split, Split] | None:
    try:
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
    except (OSError, ValueError, EOFError):
        return None
    if any(arrays[name].dtype != dtype for name, dtype in _ARRAYS.items()):
        return None
    return (
        Split(arrays["train_images"], arrays["train_labels"]),
        Split(arrays["test_images"], arrays["test_labels"]),
    )


def _write(folder: Path, train: Split, test: Split) -> None:
    temporary = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".decoding-"))
        arrays = (train.images, train.labels, test.images, test.labels)
        for index, name in enumerate(_ARRAYS):
            with (temporary / f"{name}.npy").open("wb") as file:
                np.save(file, arrays[index], allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
        shutil.rmtree(folder, ignore_errors=True)  # an entry that _read could not use
        temporary.rename(folder)
    except OSError:
        pass  # another process was first, or the cache is not writable or full
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
