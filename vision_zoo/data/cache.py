"""Cache of decoded datasets: memory-mapped arrays in the user's cache folder.

An entry's name is a hash of all that the arrays depend on. Its files' checksums are verified at every read: a damaged
entry is decoded anew.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray
from platformdirs import user_cache_path

from vision_zoo.core.errors import DataError
from vision_zoo.data.dataset import SourceFile, Split, Splits
from vision_zoo.data.scan import cannot_be_read
from vision_zoo.images import preprocess

_ABOUT = "about.json"
_FORMAT = 3


def cache_folder() -> Path:
    return user_cache_path("vision-zoo")


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content as hexadecimal digits; DataError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise cannot_be_read(path, error) from error


def content_hash(files: Iterable[Path]) -> str:
    """SHA-256 over the contents of `files` in the order given, as hexadecimal digits; DataError if one cannot be read."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(bytes.fromhex(file_hash(path)))
    return digest.hexdigest()


def decoded_once(dataset: str, depends_on: Mapping[str, Any], decode: Callable[[], Splits]) -> Splits:
    """The splits from the cache, or from `decode`, which are then cached.

    `depends_on` holds, as JSON values, everything that `decode` depends on but the decoder itself: contents, labels in
    their order, input format, the rule of the split. A cache that cannot be read or written costs only time.
    """
    described = {"format": _FORMAT, "decoder": _decoder(), "dataset": dataset, **depends_on}
    key = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
    folder = cache_folder() / "decoded" / f"{dataset}-{key[:32]}"
    cached = _read(folder)
    if cached is not None:
        return cached
    splits = decode()
    _write(folder, splits)
    return splits


@cache
def _decoder() -> str:
    """What turns a file into pixels: Pillow and our own code, whose every change is a new version."""
    found: set[str] = set()
    waiting = {preprocess.__name__}
    while waiting:
        module = sys.modules[waiting.pop()]
        found.add(module.__name__)
        names = {getattr(value, "__module__", None) for value in vars(module).values()}
        ours = {name for name in names if name in sys.modules and name.startswith("vision_zoo.")}
        waiting |= ours - found
    sources = (sys.modules[name].__file__ for name in sorted(found))
    return f"{PIL.__version__} {content_hash(Path(source) for source in sources if source)}"


def _read(folder: Path) -> Splits | None:
    try:
        sealed = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        about = sealed["about"]
        if sealed["sha256"] != _digest(about):
            return None
        splits = {name: _read_split(folder, name, entry) for name, entry in about["splits"].items()}
        return Splits(
            train=splits["train"],
            test=splits["test"],
            validation=splits.get("validation"),
            variant=about["variant"],
            sha256=about["sha256"],
            skipped=_files(about["skipped"]),
        )
    except (DataError, OSError, ValueError, EOFError, KeyError, TypeError, AttributeError):
        return None


def _read_split(folder: Path, name: str, entry: Mapping[str, Any]) -> Split:
    paths = {part: folder / f"{name}_{part}.npy" for part in ("images", "labels")}
    if any(file_hash(path) != entry[part] for part, path in paths.items()):
        raise ValueError("the checksum differs")
    images, labels = (np.load(paths[part], mmap_mode="r") for part in ("images", "labels"))
    return Split(images, labels, _files(entry["files"]))


def _files(pairs: Iterable[Iterable[str]]) -> tuple[SourceFile, ...]:
    return tuple(SourceFile(*pair) for pair in pairs)


def _digest(about: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _write(folder: Path, splits: Splits) -> None:
    temporary = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".decoding-"))
        entries = {name: _write_split(temporary, name, split) for name, split in splits.named().items()}
        about = {
            "splits": entries,
            "variant": splits.variant,
            "sha256": splits.sha256,
            "skipped": splits.skipped,
        }
        sealed = json.dumps({"about": about, "sha256": _digest(about)})
        (temporary / _ABOUT).write_text(sealed, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)  # an entry that _read could not use
        temporary.rename(folder)
    except (DataError, OSError):
        pass  # another process was first, or the cache is not writable or full
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _write_split(folder: Path, name: str, split: Split) -> dict[str, Any]:
    entry: dict[str, Any] = {"files": split.files}
    for part, array in (("images", split.images), ("labels", split.labels)):
        path = folder / f"{name}_{part}.npy"
        _save(path, array)
        entry[part] = file_hash(path)
    return entry


def _save(path: Path, array: NDArray[Any]) -> None:
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
