"""A user's own folder of images as a dataset: `folder:PATH`, one sub-folder a class, of any image size."""

import hashlib
import re
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vision_zoo.errors import DataError, ImageError
from vision_zoo.preprocess import InputFormat, open_image, prepare
from vision_zoo.training.datasets.cache import content_hash, decoded_once
from vision_zoo.training.datasets.dataset import Dataset, Split, Splits
from vision_zoo.training.datasets.image_folder import IMAGE_SUFFIXES, as_split
from vision_zoo.training.datasets.split import stratified_holdout

PREFIX = "folder:"
DEFAULT_IMAGE_SIZE = 64
_TEST_FRACTION = 0.2
_SPLIT_SEED = 0  # the test images stay the same whatever seed a run has
_SPLITS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


def is_own_folder(name: str) -> bool:
    """Whether a dataset's name is `folder:PATH`."""
    return name.startswith(PREFIX)


def own_folder(path: Path, image_size: int | None = None, *, target: InputFormat | None = None) -> Dataset:
    """The dataset in `path`: class folders, or `train/` with optional `val/` and `test/` that hold them.

    Without `test/`, `val/` is the test split; without both, a fifth of every class is, always the same one.
    Images are brought to `image_size` pixels square, in colour, or to what a model takes, `target`.

    Raises:
        DataError: no such folder, fewer than two classes, or a split with other classes.
    """
    if not path.is_dir():
        kind = "is not a folder" if path.exists() else "does not exist"
        raise DataError(f"{path} {kind}; expected a folder with one sub-folder of images a class")
    splits = _split_folders(path)
    labels = _classes(splits["train"])
    if len(labels) < 2:
        raise DataError(
            f"{splits['train']} has {'one class folder' if labels else 'no class folder'}; "
            "expected at least two, each with images of one class"
        )
    for folder in splits.values():
        unknown = sorted(set(_classes(folder)) - set(labels))
        if unknown:
            raise DataError(
                f"{folder} has a class {unknown[0]!r} that {splits['train']} lacks; expected {', '.join(labels[:8])}"
            )
    size = image_size or DEFAULT_IMAGE_SIZE
    target = target or InputFormat(channels=3, height=size, width=size)
    return Dataset(
        name=f"folder-{_name(path)}",
        title=f"images in {path}",
        labels=labels,
        input=target,
        mean=(0.5,) * target.channels,
        std=(0.5,) * target.channels,
        train_images=None,
        test_images=None,
        loader=partial(_load, splits, labels, target),
    )


def _name(path: Path) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", path.resolve().name).strip("._-")[:60] or "images"


def _split_folders(path: Path) -> dict[str, Path]:
    named = {_SPLITS[entry.name.lower()]: entry for entry in _folders(path) if entry.name.lower() in _SPLITS}
    if "train" not in named:
        return {"train": path}
    if "test" not in named and "validation" in named:
        named["test"] = named.pop("validation")
    return named


def _folders(path: Path) -> list[Path]:
    return sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _classes(folder: Path) -> tuple[str, ...]:
    return tuple(entry.name for entry in _folders(folder))


def _files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    )


def _load(
    folders: dict[str, Path], labels: tuple[str, ...], target: InputFormat, _data_dir: Path | None
) -> Splits:
    files = {name: _files(folder) for name, folder in folders.items()}
    for name, found in files.items():
        if not found:
            raise DataError(f"{folders[name]} has no image files; expected {', '.join(IMAGE_SUFFIXES)}")
    names = "\n".join(f"{name}/{path.relative_to(folders[name])}" for name in files for path in files[name])
    content = content_hash(path for found in files.values() for path in found)
    key = _hash_of_text(f"{content}\n{target}\n{names}")
    return decoded_once("folder", key, lambda: _decode(folders, files, labels, target, key))


def _hash_of_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _decode(
    folders: dict[str, Path],
    files: dict[str, list[Path]],
    labels: tuple[str, ...],
    target: InputFormat,
    key: str,
) -> Splits:
    skipped: list[str] = []
    splits = {}
    for name, folder in folders.items():
        entries: list[tuple[str, int, NDArray[np.uint8]]] = []
        for path in files[name]:
            relative = path.relative_to(folder)
            if len(relative.parts) < 2:
                continue  # beside the class folders
            try:
                pixels = prepare(open_image(path), target)
            except ImageError:
                skipped.append(str(path))
            else:
                entries.append((str(relative), labels.index(relative.parts[0]), pixels))
        if not entries:
            raise DataError(f"{folder} has no image that can be read; expected image files in class folders")
        splits[name] = as_split(entries)
        _require_every_class(splits[name], labels, folder, at_least=2 if name == "train" else 0)
    if "test" not in splits:
        splits["train"], splits["test"] = _with_test_split(splits["train"])
    return Splits(**splits, variant="own images", sha256=key, skipped=tuple(skipped))


def _require_every_class(split: Split, labels: tuple[str, ...], folder: Path, *, at_least: int) -> None:
    counts = np.bincount(split.labels, minlength=len(labels))
    few = [f"{label!r} has {count}" for label, count in zip(labels, counts, strict=True) if count < at_least]
    if few:
        raise DataError(
            f"{folder} has classes with fewer than {at_least} images that can be read: {', '.join(few[:5])}; "
            "add images or remove the folders"
        )


def _with_test_split(everything: Split) -> tuple[Split, Split]:
    held_out = max(round(len(everything) * _TEST_FRACTION), len(np.unique(everything.labels)))
    kept, out = stratified_holdout(everything.labels, held_out, seed=_SPLIT_SEED)
    return everything.take(kept), everything.take(out)
