"""Probable label errors by confident learning (Northcutt, Jiang and Chuang, 2021) on frozen features.

A linear classifier is trained on four fifths of the pictures and tells the classes of the others, in turn. A picture is
suspicious if another class is more probable than its own, and about as probable as it is, on average, for its pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision_zoo.core.progress import Progress
from vision_zoo.core.statistics import softmax
from vision_zoo.data.split import grouped_folds

ARCHITECTURE = "efficientnet_lite0"
SIDE = 224
"""Side in pixels of the pictures that features are computed of."""

LEAST = 5
"""Pictures, of different groups of duplicates, that a class needs to be checked."""

_FOLDS = 5
_REGULARISATION = 3.0
_SHARPNESS = 10.0
_CONFIDENT = 0.9  # of the average of a class


@dataclass(frozen=True)
class Suspect:
    """The picture at `index`, the class that it looks like, and the probability of the class that it has."""

    index: int
    looks_like: int
    probability: float


class FrozenFeatures:
    """The pooled ImageNet features of a picture; torch and the weights are there once it is made.

    Raises ModuleNotFoundError where torch or the package of the weights is not installed.
    """

    def __init__(self) -> None:
        from vision_zoo.architectures import build, find_architecture
        from vision_zoo.training.classifier import ImageClassifier
        from vision_zoo.training.speedups import keep_freed_memory
        from vision_zoo.training.weights import load_pretrained

        keep_freed_memory()  # activations of batches are large
        defaults = find_architecture(ARCHITECTURE).recipe_defaults
        network = build(ARCHITECTURE, channels=3, image_size=SIDE, classes=2, arguments={})
        self._classifier = ImageClassifier(network, mean=defaults["mean"], std=defaults["std"], frozen=True)
        load_pretrained(self._classifier, defaults["pretrained"], path=None, data_dir=None)

    def of(self, images: NDArray[np.uint8], progress: Progress) -> NDArray[np.float32]:
        """Features float32 `[n, features]` of images uint8 `[n, 224, 224, 3]`, from the cache where it has them."""
        from vision_zoo.data.dataset import Split
        from vision_zoo.training.features import compute_features

        split = Split(images, np.zeros(len(images), dtype=np.int64))
        computed = compute_features(self._classifier, {"audited": split}, progress=progress)
        return np.asarray(computed.splits["audited"].images)


def out_of_fold(
    features: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Probabilities `[n, classes]` of features `[n, d]`, each from a classifier that saw none of the picture's group.

    `labels` are 0 to classes - 1, every one of them there; `groups` `[n]` are the same number for duplicates.
    """
    classes = int(labels.max()) + 1
    folds = grouped_folds(labels, groups, folds=_FOLDS, seed=0)
    values = features.astype(np.float64)
    probabilities = np.zeros((len(labels), classes))
    for fold in range(_FOLDS):
        held_out = folds == fold
        if not held_out.any() or held_out.all():
            continue
        known, targets = values[~held_out], np.eye(classes)[labels[~held_out]]
        centre, average = known.mean(axis=0), targets.mean(axis=0)
        known = known - centre
        products = known.T @ known
        products[np.diag_indices_from(products)] += _REGULARISATION * np.trace(products) / len(known) + 1e-9
        weights = np.linalg.solve(products, known.T @ (targets - average))
        probabilities[held_out] = softmax(_SHARPNESS * ((values[held_out] - centre) @ weights + average))
    return probabilities


def suspects(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> list[Suspect]:
    """The pictures with a probable label error, the least probable label first."""
    classes = probabilities.shape[1]
    own = probabilities[np.arange(len(labels)), labels]
    usual = np.array([own[labels == label].mean() for label in range(classes)])
    confident = np.where(probabilities >= _CONFIDENT * usual, probabilities, 0.0)
    looks_like = confident.argmax(axis=1)
    wrong = (confident.max(axis=1) > own) & (looks_like != labels)
    ranked = sorted(np.flatnonzero(wrong).tolist(), key=lambda index: own[index])
    return [Suspect(index, int(looks_like[index]), float(own[index])) for index in ranked]


def checkable(labels: Sequence[str], groups: NDArray[np.int64]) -> list[str]:
    """The classes with enough different pictures, in the order of their names; fewer than two are none."""
    different: dict[str, set[int]] = {}
    for label, group in zip(labels, groups.tolist(), strict=True):
        different.setdefault(label, set()).add(group)
    enough = sorted(label for label, seen in different.items() if len(seen) >= LEAST)
    return enough if len(enough) > 1 else []
