"""Decode once: the arrays of a dataset as memory-mapped files in the user's cache, keyed by content."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from vision_zoo.training.datasets.dataset import Split, Splits

_ABOUT = "about.json"
_DECODER_VERSION = 2


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


def decoded_once(dataset: str, key: str, decode: Callable[[], Splits]) -> Splits:
    """The splits from the cache entry for `key`, or from `decode`, which are then cached.

    A cache that cannot be read or written costs time, never a failure: the decoded arrays are used as
    they are.
    """
    folder = cache_folder() / "decoded" / f"{dataset}-v{_DECODER_VERSION}-{key[:24]}"
    cached = _read(folder)
    if cached is not None:
        return cached
    splits = decode()
    _write(folder, splits)
    return splits


def _read(folder: Path) -> Splits | None:
    try:
        about = json.loads((folder / _ABOUT).read_text())
        splits = {name: _read_split(folder, name) for name in about["splits"]}
        return Splits(
            **splits, variant=about["variant"], sha256=about["sha256"], skipped=tuple(about["skipped"])
        )
    except (OSError, ValueError, EOFError, KeyError, TypeError):
        return None


def _read_split(folder: Path, name: str) -> Split:
    images = np.load(folder / f"{name}_images.npy", mmap_mode="r")
    labels = np.load(folder / f"{name}_labels.npy", mmap_mode="r")
    if images.dtype != np.uint8 or labels.dtype != np.int64:
        raise ValueError("not what was written")
    return Split(images, labels)


def _write(folder: Path, splits: Splits) -> None:
    temporary = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".decoding-"))
        for name, split in splits.named().items():
            _save(temporary / f"{name}_images.npy", split.images)
            _save(temporary / f"{name}_labels.npy", split.labels)
        about = {
            "splits": list(splits.named()),
            "variant": splits.variant,
            "sha256": splits.sha256,
            "skipped": list(splits.skipped),
        }
        (temporary / _ABOUT).write_text(json.dumps(about))
        shutil.rmtree(folder, ignore_errors=True)  # an entry that _read could not use
        temporary.rename(folder)
    except OSError:
        pass  # another process was first, or the cache is not writable or full
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _save(path: Path, array: NDArray[Any]) -> None:
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
