"""Stratified, seeded splitting, of single images or of groups that stay together."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_zoo.core.errors import DataError


def stratified_holdout(
    labels: NDArray[np.int64], held_out: int, *, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices (kept, held out), both ascending, with every class held out in proportion.

    Which images of a class are held out depends on `labels`, `held_out` and `seed` alone. Fractions are
    rounded by largest remainder, so exactly `held_out` images are. A class of two images or more has one on either
    side, as long as `held_out` is large enough for that.

    Raises:
        DataError: nothing would be kept or nothing held out.
    """
    if not 0 < held_out < len(labels):
        raise DataError(
            f"cannot hold {held_out} of {len(labels)} images out; expected at least one on either side"
        )
    generator = np.random.default_rng(seed)
    classes, counts = np.unique(labels, return_counts=True)
    chosen = [
        generator.permutation(np.flatnonzero(labels == label))[:number]
        for label, number in zip(classes, _quotas(counts, held_out), strict=True)
    ]
    out = np.sort(np.concatenate(chosen)).astype(np.int64)
    kept = np.setdiff1d(np.arange(len(labels), dtype=np.int64), out, assume_unique=True)
    return kept, out


def largest_remainder(counts: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """`total` in whole numbers in the proportions of `counts`."""
    exact = counts * (total / counts.sum())
    quota: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    for index in np.argsort(quota - exact, kind="stable")[: total - quota.sum()]:
        quota[index] += 1
    return quota


def _quotas(counts: NDArray[np.int64], held_out: int) -> NDArray[np.int64]:
    """How many of each class are held out."""
    exact = counts * (held_out / counts.sum())
    quota = largest_remainder(counts, held_out)
    least, most = np.minimum(counts - 1, 1), counts - 1
    quota = np.clip(quota, least, most)
    while quota.sum() > held_out:  # what rare classes got, the classes give that got most above their part
        able = quota > least if (quota > least).any() else quota > 0
        quota[np.argmax(np.where(able, quota - exact, -np.inf))] -= 1
    while quota.sum() < held_out:
        able = quota < most if (quota < most).any() else quota < counts
        quota[np.argmax(np.where(able, exact - quota, -np.inf))] += 1
    return quota


def grouped_holdout(
    labels: NDArray[np.int64], groups: NDArray[Any], *, fraction: float, seed: int, at_most: float
) -> NDArray[np.bool_]:
    """Which images `[n]` are held out: whole `groups` `[n]`, together about `fraction` of each class.

    Groups are taken in a random order: first those that fit, then those that bring the classes nearer to their part.
    Of a class without any the smallest group is taken as well, if it is `at_most` that part of the class, or if there
    are none at all. No class is held out as a whole.

    Raises:
        DataError: nothing can be held out.
    """
    of_image, counts = _counts(labels, groups)
    total = kept = counts.sum(axis=0)
    missing, weights = fraction * kept, 1 / np.maximum(kept, 1)
    chosen = np.zeros(len(counts), dtype=np.bool_)
    order = np.random.default_rng(seed).permutation(len(counts)).tolist()

    def fits(group: int) -> bool:
        return bool((counts[group] <= missing + 0.5).all())

    def improves(group: int) -> bool:
        before, after = missing * weights, (missing - counts[group]) * weights
        return bool(after @ after < before @ before)

    def leaves_some(group: int) -> bool:
        return not ((kept == counts[group]) & (counts[group] > 0)).any()

    def take(group: int) -> None:
        nonlocal missing, kept
        chosen[group], missing, kept = True, missing - counts[group], kept - counts[group]

    for wanted in (fits, improves):
        for group in order:
            if not chosen[group] and wanted(group) and leaves_some(group):
                take(group)
    limit = at_most if chosen.any() else 1.0
    for label in np.flatnonzero(counts[chosen].sum(axis=0) == 0).tolist():
        small = np.flatnonzero((counts[:, label] > 0) & (counts[:, label] <= limit * total[label])).tolist()
        able = [group for group in small if leaves_some(group)]
        if able and not counts[chosen, label].any():
            take(min(able, key=lambda group: float(counts[group].sum())))
    if not chosen.any():
        raise DataError(
            f"no group can be held out: there are {len(counts):,}, and every class needs one for training; expected "
            "more groups"
        )
    return chosen[of_image]


def _counts(labels: NDArray[np.int64], groups: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The number of each image's group `[n]`, and images by group and class `[groups, classes]`."""
    names, of_image = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(names), int(labels.max()) + 1))
    np.add.at(counts, (of_image, labels), 1)
    return of_image, counts


def held_out_fold(
    labels: NDArray[np.int64], groups: NDArray[Any], *, number: int, folds: int, seed: int
) -> NDArray[np.bool_]:
    """Which images `[n]` are in the fold `number`, from 1, of `folds`; no class is held out as a whole.

    Every fold has about the same part of every class, and images of one of `groups` `[n]` are in the same fold.

    Raises:
        DataError: the fold is empty.
    """
    held_out: NDArray[np.bool_] = grouped_folds(labels, groups, folds=folds, seed=seed) == number - 1
    for label in np.setdiff1d(labels, labels[~held_out]):
        held_out &= ~np.isin(groups, groups[labels == label])
    if not held_out.any():
        raise DataError(
            f"fold {number} of {folds} has no image: there are {len(np.unique(groups)):,} groups, and every class "
            "needs one for training; expected more groups or fewer folds"
        )
    return held_out


def grouped_folds(
    labels: NDArray[np.int64], groups: NDArray[Any], *, folds: int, seed: int
) -> NDArray[np.int64]:
    """The fold, 0 to `folds` - 1, of each image `[n]`: every class in equal parts, as far as `groups` `[n]` let it.

    Groups are dealt out in a random order, the large ones first, each to the fold that has least of its classes.
    """
    of_image, counts = _counts(labels, groups)
    weights = 1 / np.maximum(counts.sum(axis=0), 1)
    order = np.random.default_rng(seed).permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    filled, places = np.zeros((folds, counts.shape[1])), np.empty(len(counts), dtype=np.int64)
    for group in order:
        crowding = filled @ (counts[group] * weights)
        places[group] = np.lexsort((filled.sum(axis=1), crowding.round(9)))[0]
        filled[places[group]] += counts[group]
    return places[of_image]
