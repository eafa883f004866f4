"""Grayscale morphology and connected components in numpy, fast enough for photographs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


def closing(pixels: NDArray[Any], size: int) -> NDArray[Any]:
    """Fill what is darker than its surroundings and narrower than a square of `size`; the border is replicated."""
    padded = np.pad(pixels, size - 1, mode="edge")
    for step in (np.maximum, np.minimum):
        for axis in (0, 1):
            padded = running(step, padded, size, axis)
    return padded


def dilation(pixels: NDArray[Any], radius: int, *, square: bool = True) -> NDArray[Any]:
    """The largest value within a square of `2 * radius + 1`, or within a cross of that size."""
    grown = []
    for axis in (0, 1):
        padded = np.pad(pixels, [(radius, radius) if axis == own else (0, 0) for own in (0, 1)])
        grown.append(running(np.maximum, padded, 2 * radius + 1, axis))
        if square:
            pixels = grown[-1]
    return grown[-1] if square else np.maximum(*grown)


def running(
    step: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]], pixels: NDArray[Any], size: int, axis: int
) -> NDArray[Any]:
    """`step` over every window of `size` along an axis, which gets shorter by `size - 1`: in log2(size) passes."""
    values = np.moveaxis(pixels, axis, 0)
    done = 1
    while done < size:
        shift = min(done, size - done)
        values = step(values[:-shift], values[shift:])
        done += shift
    return np.moveaxis(values, 0, axis)


@dataclass(frozen=True, eq=False)
class Components:
    """The connected parts of a mask, diagonals included.

    `labels` is int32 `[height, width]`, -1 outside the mask. Of each part: `top`, `left`, `bottom`, `right` (the last
    two beyond it) and `area` in pixels.
    """

    labels: NDArray[np.int32]
    top: NDArray[np.int64]
    left: NDArray[np.int64]
    bottom: NDArray[np.int64]
    right: NDArray[np.int64]
    area: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.area)

    def sums(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """The sum of `values` over each part."""
        inside = self.labels >= 0
        sums = np.bincount(self.labels[inside], weights=values[inside], minlength=len(self))
        return sums.astype(np.float64)


def components(mask: NDArray[np.bool_]) -> Components:
    """Label the connected parts of a mask, by way of its horizontal runs."""
    height, width = mask.shape
    rows, starts, ends = runs(mask)
    names = _joined(rows, starts, ends, width + 2)
    labels = np.full(mask.shape, -1, dtype=np.int32)
    labels[mask] = np.repeat(names, ends - starts).astype(np.int32)
    count = int(names.max(initial=-1)) + 1
    top, left = np.full(count, height), np.full(count, width)
    bottom, right, area = np.zeros((3, count), dtype=np.int64)
    np.minimum.at(top, names, rows)
    np.minimum.at(left, names, starts)
    np.maximum.at(bottom, names, rows + 1)
    np.maximum.at(right, names, ends)
    np.add.at(area, names, ends - starts)
    return Components(labels, top, left, bottom, right, area)


def runs(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Row, start and end of every horizontal run of a mask, in reading order."""
    padded = np.zeros((mask.shape[0], mask.shape[1] + 2), dtype=np.int8)
    padded[:, 1:-1] = mask
    changes = np.diff(padded, axis=1).reshape(-1)
    starts, ends = np.flatnonzero(changes == 1), np.flatnonzero(changes == -1)
    rows, starts = np.divmod(starts, mask.shape[1] + 1)
    return rows, starts, ends % (mask.shape[1] + 1)


def _joined(
    rows: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64], width: int
) -> NDArray[np.int64]:
    """The number of the part that each run belongs to."""
    # The runs of the next row that touch run i are those from first[i] to last[i]: both ends are in order.
    first = np.searchsorted(rows * width + ends, (rows + 1) * width + starts)
    last = np.searchsorted(rows * width + starts, (rows + 1) * width + ends, side="right")
    touching = np.maximum(last - first, 0)
    upper = np.repeat(np.arange(len(rows)), touching)
    lower = (
        np.arange(len(upper))
        - np.repeat(np.cumsum(touching) - touching, touching)
        + np.repeat(first, touching)
    )
    roots = np.arange(len(rows))
    while True:
        before = roots.copy()
        smaller = np.minimum(roots[upper], roots[lower])
        np.minimum.at(roots, before[upper], smaller)
        np.minimum.at(roots, before[lower], smaller)
        roots = roots[roots]
        if np.array_equal(roots, before):
            return np.unique(roots, return_inverse=True)[1].reshape(-1)
