"""Outputs of frozen feature layers, computed once and cached.

Exact as long as nothing random comes before the trained layers; `can_cache` says so, and what comes from
the cache has its digest checked and is compared with freshly computed features before it is used.
"""

import hashlib
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vision_zoo.core import json_file
from vision_zoo.core.errors import RunError
from vision_zoo.core.progress import Progress
from vision_zoo.data.cache import cache_folder
from vision_zoo.data.dataset import Split
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training.classifier import ImageClassifier
from vision_zoo.training.evaluate import in_batches

_ABOUT = "about.json"
_CHECKED_IMAGES = 64
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class _About:
    seconds: float
    sha256: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class FeatureSplits:
    """Splits whose images are float32 features `[n, features]`, and the seconds that computing them took."""

    splits: dict[str, Split]
    seconds: float


def can_cache(recipe: Recipe) -> bool:
    """Whether every epoch sees the same features: frozen layers in evaluation mode and unchanged images."""
    return recipe.frozen and not recipe.frozen_dropout and recipe.augmentation is None


def compute_features(
    classifier: ImageClassifier, splits: Mapping[str, Split], *, data_key: str, progress: Progress
) -> FeatureSplits:
    """The features of every image in `splits`, from the cache where they are right.

    The cache's key holds the images, the layers, their weights and `data_key`. A cache that cannot be used costs
    time, never a failure.
    """
    classifier.eval()
    folder = cache_folder() / "features" / _key(classifier, splits, data_key)
    cached = _usable(folder, classifier, splits)
    if cached is not None:
        progress.line("using the feature layers' cached activations")
        return cached
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".computing-") as temporary:
            seconds = _compute_into(Path(temporary), classifier, splits, progress)
            about = _About(seconds, _digests(Path(temporary), splits))
            (Path(temporary) / _ABOUT).write_text(json_file.text(about))
            shutil.rmtree(folder, ignore_errors=True)
            Path(temporary).rename(folder)
            Path(temporary).mkdir()  # for its context to remove
        return FeatureSplits(_mapped(folder, splits), seconds)
    except OSError:  # the cache is full or not writable, or another process was quicker
        cached = _usable(folder, classifier, splits)
        if cached is not None:
            return cached
    started = time.perf_counter()
    computed = {name: _in_memory(classifier, split, progress) for name, split in splits.items()}
    return FeatureSplits(computed, time.perf_counter() - started)


def _key(classifier: ImageClassifier, splits: Mapping[str, Split], data_key: str) -> str:
    digest = hashlib.sha256(data_key.encode())
    for tensor in (*classifier.feature_layers.state_dict().values(), classifier.scale, classifier.offset):
        digest.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).tobytes())
    digest.update(repr(classifier.feature_layers).encode())
    for name, split in splits.items():
        digest.update(f"{name} {split.images.shape}".encode())
        digest.update(np.ascontiguousarray(split.images).data)
    return digest.hexdigest()[:32]


def _usable(folder: Path, classifier: ImageClassifier, splits: Mapping[str, Split]) -> FeatureSplits | None:
    cached = _read(folder, splits)
    if cached is None or not all(_agree(classifier, splits[name], cached.splits[name]) for name in splits):
        return None
    return cached


def _mapped(folder: Path, splits: Mapping[str, Split]) -> dict[str, Split]:
    return {
        name: Split(np.load(folder / f"{name}.npy", mmap_mode="r"), split.labels)
        for name, split in splits.items()
    }


def _read(folder: Path, splits: Mapping[str, Split]) -> FeatureSplits | None:
    try:
        about = json_file.read(folder / _ABOUT, _About)
        if about.sha256 != _digests(folder, splits):
            return None
        found = _mapped(folder, splits)
    except (RunError, OSError, ValueError, EOFError):
        return None
    if any(len(found[name].images) != len(splits[name]) for name in splits):
        return None
    return FeatureSplits(found, about.seconds)


def _digests(folder: Path, splits: Mapping[str, Split]) -> dict[str, str]:
    found = {}
    for name in splits:
        with (folder / f"{name}.npy").open("rb") as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _agree(classifier: ImageClassifier, split: Split, cached: Split) -> bool:
    # The files are whole, as their digests say; whether they are of these weights and these images shows at both ends.
    for part in (slice(None, _CHECKED_IMAGES), slice(-_CHECKED_IMAGES, None)):
        fresh = np.concatenate([batch.cpu().numpy() for batch in _batches(classifier, split.images[part])])
        stored = np.asarray(cached.images[part])
        if fresh.shape != stored.shape or not np.allclose(fresh, stored, rtol=_TOLERANCE, atol=_TOLERANCE):
            return False
    return True


def _compute_into(
    folder: Path, classifier: ImageClassifier, splits: Mapping[str, Split], progress: Progress
) -> float:
    started = time.perf_counter()
    for name, split in splits.items():
        progress.line(f"computing the frozen features of {len(split):,} {name} images, once")
        progress.start(f"features of {name}", len(split))
        array = None
        done = 0
        for batch in _batches(classifier, split.images):
            values = batch.cpu().numpy()
            if array is None:
                array = np.lib.format.open_memmap(
                    folder / f"{name}.npy", mode="w+", dtype=np.float32, shape=(len(split), values.shape[1])
                )
            array[done : done + len(values)] = values
            done += len(values)
            progress.advance(len(values))
        if array is not None:
            array.flush()
    return time.perf_counter() - started


def _in_memory(classifier: ImageClassifier, split: Split, progress: Progress) -> Split:
    progress.line(f"computing the frozen features of {len(split):,} images; the cache cannot be written")
    parts = [batch.cpu() for batch in _batches(classifier, split.images)]
    return Split(torch.cat(parts).numpy(), split.labels)


def _batches(classifier: ImageClassifier, images: NDArray[np.uint8]) -> Iterator[torch.Tensor]:
    return in_batches(classifier.features, images, classifier.scale.device)
