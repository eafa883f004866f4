"""`manifest.json`: the SHA-256 of every exported model in a folder, checked before a model is served.

An entry is `{"bytes": …, "sha256": …}`. While a file is replaced it also has `"replacement"`, an entry of the same form
for the new content, and readers accept either: whenever the writing process ends, model and manifest agree.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vision_zoo.core import atomic, json_file, regular_file
from vision_zoo.core.errors import ModelError, StorageError

FILE_NAME = "manifest.json"
SCHEMA_VERSION = 1
_LOCK_NAME = ".manifest.lock"
_LOCK_SECONDS = 60
_MAX_BYTES = 16 * 2**20
_SHA256_DIGITS = 64


@dataclass(frozen=True, slots=True)
class Entry:
    """The size and the hash of a file, and of what it is being replaced with."""

    bytes: int
    sha256: str
    replacement: "Entry | None" = None

    def accepts(self, sha256: str) -> bool:
        """Whether a file of that hash is the one listed, or its replacement."""
        return sha256 in (self.sha256, (self.replacement or self).sha256)


def publish(path: Path, content: bytes) -> None:
    """Write a model to `path` and its checksum into the manifest beside it.

    A process that ends half-way leaves the former model or the new one, and a manifest that accepts it.

    Raises:
        StorageError: the folder cannot be written; model and manifest stay as they were.
    """
    with _changing(path) as entries, atomic.staged(path, content) as temporary:
        former, new = _present(path), _entry_of(content)
        both = new if former is None else replace(_of_former(former, entries.get(path.name)), replacement=new)
        _write(path.parent, {**entries, path.name: both})
        try:
            atomic.rename(temporary, path)
            if both is not new:
                _write(path.parent, {**entries, path.name: new})
        except (OSError, StorageError):
            if former is None:
                path.unlink(missing_ok=True)
            elif not path.is_dir():
                atomic.write_bytes(path, former)
            _write(path.parent, entries)
            raise


def withdraw(path: Path) -> None:
    """Remove a model and its line in the manifest beside it; nothing happens where neither is there.

    Raises:
        StorageError: the folder cannot be written.
    """
    with _changing(path) as entries:
        path.unlink(missing_ok=True)
        if entries.pop(path.name, None) is not None:
            _write(path.parent, entries)


@contextmanager
def _changing(path: Path) -> Iterator[dict[str, Entry]]:
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


def _write(folder: Path, entries: dict[str, Entry]) -> None:
    document = {"schema": SCHEMA_VERSION, "models": dict(sorted(entries.items()))}
    json_file.write(folder / FILE_NAME, document, indent=2)


def _entry_of(content: bytes) -> Entry:
    return Entry(len(content), hashlib.sha256(content).hexdigest())


def _of_former(content: bytes, listed: Entry | None) -> Entry:
    """The entry for the content that is replaced; a damaged file stays one that its entry refuses."""
    entry = _entry_of(content)
    return entry if listed is None or listed.accepts(entry.sha256) else listed


def _present(path: Path) -> bytes | None:
    try:
        return regular_file.read(path, max_bytes=sys.maxsize)
    except FileNotFoundError:
        return None


def read(folder: Path) -> dict[str, Entry]:
    """The manifest's entries by file name, empty without a manifest; ModelError if it is damaged or cannot be read."""
    path = folder / FILE_NAME
    try:
        content = regular_file.read(path, max_bytes=_MAX_BYTES)
    except FileNotFoundError:
        return {}
    except PermissionError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}; check its permissions") from error
    except OSError as error:
        raise _damaged(str(path)) from error
    return parse(content, str(path))


def parse(content: bytes, name: str) -> dict[str, Entry]:
    """The entries of a manifest by file name; ModelError, which names it `name`, if it is damaged."""
    try:
        document = json.loads(content)
        if document["schema"] != SCHEMA_VERSION:
            raise ValueError
        return {model: _read_entry(listed) for model, listed in document["models"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(name) from error


def _damaged(name: str) -> ModelError:
    return ModelError(f"{name} is damaged; restore it, or remove it and export the models again")


def _read_entry(listed: Mapping[str, Any]) -> Entry:
    """Without msgspec, so that `vision-zoo predict` need not import it."""
    if len(listed["sha256"]) != _SHA256_DIGITS or not isinstance(listed["bytes"], int):
        raise ValueError
    new = listed.get("replacement")
    return Entry(listed["bytes"], listed["sha256"], None if new is None else _read_entry(new))


def verify(path: Path, content: bytes) -> bool:
    """Whether the manifest beside a model lists it; ModelError if it lists another checksum."""
    entry = read(path.parent).get(path.name)
    if entry is not None and not entry.accepts(hashlib.sha256(content).hexdigest()):
        raise ModelError(
            f"{path} does not match its checksum in {FILE_NAME}: the file was changed or damaged; "
            "restore it or export the model again"
        )
    return entry is not None
