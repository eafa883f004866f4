"""Stratified, seeded splitting."""

import numpy as np
from numpy.typing import NDArray

from vision_zoo.errors import DataError


def stratified_holdout(
    labels: NDArray[np.int64], held_out: int, *, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices (kept, held out), both ascending, with every class held out in proportion.

    Which images of a class are held out depends on `labels`, `held_out` and `seed` alone. Fractions are
    rounded by largest remainder, so exactly `held_out` images are.

    Raises:
        DataError: nothing would be kept or nothing held out.
    """
    if not 0 < held_out < len(labels):
        raise DataError(
            f"cannot hold {held_out} of {len(labels)} images out; expected at least one on either side"
        )
    generator = np.random.default_rng(seed)
    classes, counts = np.unique(labels, return_counts=True)
    exact = counts * (held_out / len(labels))
    quota = np.floor(exact).astype(int)
    for index in np.argsort(quota - exact, kind="stable")[: held_out - quota.sum()]:
        quota[index] += 1
    chosen = [
        generator.permutation(np.flatnonzero(labels == label))[:number]
        for label, number in zip(classes, quota, strict=True)
    ]
    out = np.sort(np.concatenate(chosen)).astype(np.int64)
    kept = np.setdiff1d(np.arange(len(labels), dtype=np.int64), out, assume_unique=True)
    return kept, out
