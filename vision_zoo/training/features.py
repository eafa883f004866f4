"""Outputs of frozen feature layers, computed once an image and cached.

Exact as long as nothing random comes before the trained layers; `can_cache` says so. The cache knows images by their
content: another split of a folder, or a folder with more pictures, computes only those that are new. What comes from it
has its digest checked, and a few images are compared with freshly computed features before it is used.
"""

import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from vision_zoo.core import json_file
from vision_zoo.core.errors import DataError, RunError, UsageError
from vision_zoo.core.progress import Progress
from vision_zoo.data.cache import cache_folder, file_hash
from vision_zoo.data.dataset import Split
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training.classifier import ImageClassifier
from vision_zoo.training.evaluate import batch_size, in_batches

_ABOUT, _FEATURES, _UNFINISHED = "about.json", "features.npy", ".computing-"
_CHECKED_IMAGES = 8  # of a split
_TOLERANCE = 1e-4
_MULTIPLE = 32
"""A shorter batch is filled up to a multiple: small ones are rounded otherwise, and features would depend on which other
images were new."""
_DIGITS = 32  # hexadecimal, of an image's hash


@dataclass(frozen=True)
class _About:
    """Of one file of the cache: seconds it took, its SHA-256, and its images' hashes."""

    seconds: float
    sha256: str
    images: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Shard:
    """Features float32 `[n, features]` of the n images with these hashes, and the seconds that one of them took."""

    images: Sequence[str]
    features: NDArray[np.float32]
    seconds: float


@dataclass(frozen=True, eq=False)
class FeatureSplits:
    """Splits whose images are float32 features `[n, features]`, and the seconds that computing them took."""

    splits: dict[str, Split]
    seconds: float


def can_cache(recipe: Recipe) -> bool:
    """Whether every epoch sees the same features: frozen layers in evaluation mode and unchanged images."""
    return (
        recipe.frozen
        and recipe.fine_tune is None
        and not recipe.frozen_dropout
        and recipe.augmentation is None
    )


def compute_features(
    classifier: ImageClassifier, splits: Mapping[str, Split], *, progress: Progress
) -> FeatureSplits:
    """The features of every image in `splits`, from the cache where they are right.

    The cache's key holds the image, the layers, their weights and what they are computed with. A cache that
    cannot be used costs time, never a failure.

    Raises:
        UsageError: the network is not its classifier on its flat features.
    """
    classifier.eval()
    _require_flat(classifier, next(iter(splits.values())))
    folder = cache_folder() / "features" / _layers_key(classifier)
    hashes = {name: _hashes(split.images) for name, split in splits.items()}
    shards = _stored(folder, {image for part in hashes.values() for image in part})
    if not all(_agree(classifier, split, hashes[name], shards) for name, split in splits.items()):
        shutil.rmtree(folder, ignore_errors=True)
        shards = []
    known = {image for shard in shards for image in shard.images}
    new = {
        name: rows
        for name, part in hashes.items()
        if len(rows := np.array([row for row, image in enumerate(part) if image not in known]))
    }
    if new:
        images = tuple(hashes[name][row] for name, rows in new.items() for row in rows)
        shards.append(_computed(folder, classifier, splits, new, images, progress))
    else:
        progress.line("using the feature layers' cached activations")
    found = {
        name: Split(_gathered(hashes[name], shards), split.labels, split.files)
        for name, split in splits.items()
    }
    seconds = {image: shard.seconds for shard in shards for image in shard.images}
    return FeatureSplits(found, sum(seconds[image] for part in hashes.values() for image in part))


def _require_flat(classifier: ImageClassifier, split: Split) -> None:
    """Refuse a network that does more between or after its parts: its head would be trained for another function."""
    images = torch.from_numpy(np.array(split.images[:2])).to(classifier.scale.device)
    with torch.no_grad():
        try:
            whole = classifier.network(classifier.normalise(images))
            alike = torch.allclose(classifier.head(classifier.features(images)), whole, atol=1e-3)
        except RuntimeError:  # the classifier takes another number of features
            alike = False
    if not alike:
        raise UsageError(
            f"{type(classifier.network).__name__} cannot be frozen: its output is not `classifier` on the flat output of "
            "`features`; move what its forward does beside them into one of the two"
        )


def _layers_key(classifier: ImageClassifier) -> str:
    """Of all that features depend on but the image."""
    device = classifier.scale.device.type
    tf32 = device == "cuda" and torch.backends.cudnn.allow_tf32
    digest = hashlib.sha256(f"{torch.__version__} {device} {tf32} {classifier.feature_layers!r}".encode())
    for tensor in (*classifier.feature_layers.state_dict().values(), classifier.scale, classifier.offset):
        digest.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).tobytes())
    return digest.hexdigest()[:_DIGITS]


def _hashes(images: NDArray[np.uint8]) -> list[str]:
    shape = f"{images.shape[1:]}".encode()
    return [hashlib.sha256(shape + image.tobytes()).hexdigest()[:_DIGITS] for image in images]


def _stored(folder: Path, wanted: set[str]) -> list[_Shard]:
    """The whole files of the cache that have some of the images `wanted`."""
    shards = []
    for path in sorted(folder.glob(f"[!{_UNFINISHED[0]}]*")):
        try:
            about = json_file.read(path / _ABOUT, _About)
            if wanted.isdisjoint(about.images):
                continue
            if file_hash(path / _FEATURES) != about.sha256:
                raise ValueError("the checksum differs")
            features = np.load(path / _FEATURES, mmap_mode="r")
            shards.append(_Shard(about.images, features, about.seconds / len(features)))
        except (DataError, RunError, OSError, ValueError, EOFError):
            shutil.rmtree(path, ignore_errors=True)
    return shards


def _agree(classifier: ImageClassifier, split: Split, hashes: list[str], shards: Sequence[_Shard]) -> bool:
    # The files are whole, as their digests say, but may be of another version's code.
    known = {image for shard in shards for image in shard.images}
    rows = np.array([row for row, image in enumerate(hashes) if image in known], dtype=np.int64)
    if not len(rows):
        return True
    rows = rows[:: -(-len(rows) // _CHECKED_IMAGES)]
    fresh = np.concatenate(list(_batches(classifier, split.images, rows)))
    stored = _gathered([hashes[row] for row in rows], shards)
    return fresh.shape == stored.shape and np.allclose(fresh, stored, rtol=_TOLERANCE, atol=_TOLERANCE)


def _gathered(hashes: list[str], shards: Sequence[_Shard]) -> NDArray[Any]:
    """Of the images with these hashes: a part of a mapped file where one has them in that order."""
    for shard in shards:
        for start in [row for row, image in enumerate(shard.images) if image == hashes[0]]:
            if list(shard.images[start : start + len(hashes)]) == hashes:
                return shard.features[start : start + len(hashes)]
    places = {image: (shard, row) for shard in shards for row, image in enumerate(shard.images)}
    gathered: NDArray[Any] = np.empty((len(hashes), shards[0].features.shape[1]), dtype=np.float32)
    for row, image in enumerate(hashes):
        shard, place = places[image]
        gathered[row] = shard.features[place]
    return gathered


def _computed(
    folder: Path,
    classifier: ImageClassifier,
    splits: Mapping[str, Split],
    new: Mapping[str, NDArray[np.int64]],
    images: tuple[str, ...],
    progress: Progress,
) -> _Shard:
    """The features of the rows `new` of `splits`, which are of `images`: a new file of the cache, if it can be."""
    started = time.perf_counter()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=_UNFINISHED) as temporary:
            mapped = partial(np.lib.format.open_memmap, Path(temporary) / _FEATURES, mode="w+")
            _compute(classifier, splits, new, progress, mapped)
            seconds = time.perf_counter() - started
            about = _About(seconds, file_hash(Path(temporary) / _FEATURES), images)
            (Path(temporary) / _ABOUT).write_text(json_file.text(about), encoding="utf-8")
            path = folder / Path(temporary).name.removeprefix(_UNFINISHED)  # no other process has that name
            Path(temporary).rename(path)
            Path(temporary).mkdir()  # for its context to remove
        return _Shard(images, np.load(path / _FEATURES, mmap_mode="r"), seconds / len(images))
    except (DataError, OSError):
        progress.line("the cache of features cannot be written; computing them in memory")
    started = time.perf_counter()
    features = _compute(classifier, splits, new, progress, np.empty)
    return _Shard(images, features, (time.perf_counter() - started) / len(images))


def _compute(
    classifier: ImageClassifier,
    splits: Mapping[str, Split],
    new: Mapping[str, NDArray[np.int64]],
    progress: Progress,
    make: Callable[..., NDArray[np.float32]],
) -> NDArray[np.float32]:
    """The features of the rows `new` of `splits`, one after the other, in an array that `make` makes."""
    features, done = None, 0
    for name, rows in new.items():
        progress.line(f"computing the frozen features of {len(rows):,} {name} images, once")
        progress.start(f"features of {name}", len(rows), "images")
        for values in _batches(classifier, splits[name].images, rows):
            if features is None:
                count = sum(len(rows) for rows in new.values())
                features = make(shape=(count, values.shape[1]), dtype=np.float32)
            features[done : done + len(values)] = values
            done += len(values)
            progress.advance(len(values))
    if isinstance(features, np.memmap):
        features.flush()
    return cast("NDArray[np.float32]", features)


def _batches(
    classifier: ImageClassifier, images: NDArray[np.uint8], rows: NDArray[np.int64]
) -> Iterator[NDArray[np.float32]]:
    device = classifier.scale.device
    size = batch_size(device, images)
    for start in range(0, len(rows), size):
        chosen = rows[start : start + size]
        filled = np.resize(chosen, min(size, -(-len(chosen) // _MULTIPLE) * _MULTIPLE))
        (values,) = in_batches(classifier.features, images[filled], device)
        yield values[: len(chosen)].cpu().numpy()
