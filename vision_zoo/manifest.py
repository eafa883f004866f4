"""`manifest.json`: the SHA-256 of every exported model in a folder, checked before a model is served."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vision_zoo import atomic
from vision_zoo.errors import ModelError, StorageError

FILE_NAME = "manifest.json"
SCHEMA_VERSION = 1
_LOCK_NAME = ".manifest.lock"
_LOCK_SECONDS = 60
_SHA256_DIGITS = 64


def publish(path: Path, content: bytes) -> None:
    """Write a model to `path` and its checksum into the manifest beside it.

    Raises:
        StorageError: the folder cannot be written; model and manifest stay as they were.
    """
    with _changing(path) as entries:
        entries[path.name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        atomic.write_together({path: content, path.parent / FILE_NAME: _document(entries)})


def withdraw(path: Path) -> None:
    """Remove a model and its line in the manifest beside it; nothing happens where neither is there.

    Raises:
        StorageError: the folder cannot be written.
    """
    with _changing(path) as entries:
        if entries.pop(path.name, None) is not None:
            atomic.write_bytes(path.parent / FILE_NAME, _document(entries))
        path.unlink(missing_ok=True)


@contextmanager
def _changing(path: Path) -> Iterator[dict[str, dict[str, Any]]]:
    from filelock import FileLock, Timeout  # reading, which is what serving does, needs none

    atomic.make_folder(path.parent)
    try:
        with FileLock(path.parent / _LOCK_NAME, timeout=_LOCK_SECONDS):
            yield read(path.parent)
    except Timeout as error:
        raise StorageError(
            f"{path.parent} is being written by another process; try again when it has finished"
        ) from error
    except OSError as error:
        raise atomic.storage_error(path, error) from error


def _document(entries: dict[str, dict[str, Any]]) -> bytes:
    document = {"schema": SCHEMA_VERSION, "models": dict(sorted(entries.items()))}
    return (json.dumps(document, indent=2) + "\n").encode()


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """The manifest's entries by file name; empty where the folder has no manifest.

    Raises:
        ModelError: the manifest is damaged.
    """
    path = folder / FILE_NAME
    try:
        document = json.loads(path.read_text())
        entries: dict[str, dict[str, Any]] = document["models"]
        if document["schema"] != SCHEMA_VERSION or not all(
            len(entry["sha256"]) == _SHA256_DIGITS and isinstance(entry["bytes"], int)
            for entry in entries.values()
        ):
            raise ValueError
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"{path} is damaged; restore it, or remove it and export the models again"
        ) from error
    return entries


def verify(path: Path, content: bytes) -> bool:
    """Refuse a model whose bytes are not those that the manifest beside it lists.

    A file that no manifest lists is accepted, and False returned: nothing is claimed about it.

    Raises:
        ModelError: the checksum differs.
    """
    entry = read(path.parent).get(path.name)
    if entry is not None and entry["sha256"] != hashlib.sha256(content).hexdigest():
        raise ModelError(
            f"{path} does not match its checksum in {FILE_NAME}: the file was changed or damaged; "
            "restore it or export the model again"
        )
    return entry is not None
