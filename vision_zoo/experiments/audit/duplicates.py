"""Groups of pictures that are the same: in every byte, in every pixel, or nearly.

Near duplicates are looked for among the pictures whose colours in an 8 x 8 grid are most alike, mirrored or not. Of
those, small gray copies without their broad shades are correlated, one of them cropped by up to 10 % in each direction.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vision_zoo.experiments.audit.pictures import SMALL

Sameness = Literal["content", "pixels", "near"]

_NEIGHBOURS = 10
_GRID = 8
_AT_A_TIME = 1024
_SHADES = 3.0  # standard deviation in pixels of what is taken away as shading
_CROPS = {1.0: (0.0,), 0.95: (0.0, 0.5, 1.0), 0.9: (0.0, 0.25, 0.5, 0.75, 1.0)}
_GRAY = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_CORRELATION = 0.78
_HIGHEST = 0.98
_ORDINARY, _ALIKE = 0.25, 0.5


@dataclass(frozen=True)
class Group:
    """Indices of pictures that are the same, ascending, and in what."""

    members: tuple[int, ...]
    sameness: Sameness


def find_duplicates(
    contents: Sequence[str], pixels: Sequence[str], small: NDArray[np.uint8], advance: Callable[[int], None]
) -> list[Group]:
    """The groups of two and more among n pictures, given their hashes and uint8 copies `[n, 32, 32, 3]`.

    `advance` is called with the number of pictures that were looked at.
    """
    parent = list(range(len(pixels)))
    first: dict[str, int] = {}
    for index, key in enumerate(pixels):
        parent[index] = first.setdefault(key, index)
    distinct = np.array(sorted(first.values()), dtype=np.int64)
    for one, other in near_pairs(small[distinct], advance):
        _join(parent, int(distinct[one]), int(distinct[other]))
    groups: dict[int, list[int]] = {}
    for index in range(len(parent)):
        groups.setdefault(_root(parent, index), []).append(index)
    return [
        Group(tuple(members), _sameness(members, contents, pixels))
        for members in groups.values()
        if len(members) > 1
    ]


def _sameness(members: Sequence[int], contents: Sequence[str], pixels: Sequence[str]) -> Sameness:
    if len({contents[member] for member in members}) == 1:
        return "content"
    return "pixels" if len({pixels[member] for member in members}) == 1 else "near"


def _root(parent: list[int], index: int) -> int:
    while parent[index] != index:
        parent[index] = parent[parent[index]]
        index = parent[index]
    return index


def _join(parent: list[int], one: int, other: int) -> None:
    low, high = sorted((_root(parent, one), _root(parent, other)))
    parent[high] = low


def near_pairs(small: NDArray[np.uint8], advance: Callable[[int], None]) -> list[tuple[int, int]]:
    """Pairs of near duplicates among uint8 `[n, 32, 32, 3]`, as indices in order."""
    count = len(small)
    if count < 2:
        return []
    neighbours = _neighbours(small)
    partners: list[set[int]] = [set() for _ in range(count)]
    for index, row in enumerate(neighbours):
        for other in row:
            partners[index].add(int(other))
            partners[int(other)].add(index)
    details = _details(small)
    plain, mirrored = _normal(details.reshape(count, -1)), _normal(details[:, :, ::-1].reshape(count, -1))
    crops = _crops()
    correlation: dict[tuple[int, int], float] = {}
    for index in range(count):
        others = sorted(partners[index])
        cropped = np.einsum("aij,jk,blk->abil", crops, details[index], crops, optimize=True)
        views = _normal(cropped.reshape(len(crops) ** 2, -1))
        found = np.maximum((views @ plain[others].T).max(axis=0), (views @ mirrored[others].T).max(axis=0))
        for other, value in zip(others, found.tolist(), strict=True):
            pair = (min(index, other), max(index, other))
            correlation[pair] = max(correlation.get(pair, -1.0), value)
        advance(1)
    least = _threshold(neighbours, correlation)
    return sorted(pair for pair, value in correlation.items() if value >= least)


def _threshold(neighbours: NDArray[np.int64], correlation: dict[tuple[int, int], float]) -> float:
    """The correlation of near duplicates: higher where pictures of one kind are alike, such as drawn digits."""
    lowest = [
        min(correlation[min(index, other), max(index, other)] for other in row)
        for index, row in enumerate(neighbours.tolist())
    ]
    alike = (float(np.median(lowest)) - _ORDINARY) / (_ALIKE - _ORDINARY)
    if neighbours.shape[1] < _NEIGHBOURS:  # too few to tell what is ordinary
        alike = 0.0
    return float(np.clip(_CORRELATION + alike * (_HIGHEST - _CORRELATION), _CORRELATION, _HIGHEST))


def _neighbours(small: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The indices `[n, up to 10]` of the pictures most alike in the colours of a grid."""
    count, block = len(small), SMALL // _GRID
    grid = small.reshape(count, _GRID, block, _GRID, block, 3).mean(axis=(2, 4), dtype=np.float32)
    plain, mirrored = _normal(grid.reshape(count, -1)), _normal(grid[:, :, ::-1].reshape(count, -1))
    kept = min(_NEIGHBOURS, count - 1)
    rows = []
    for start in range(0, count, _AT_A_TIME):
        part = plain[start : start + _AT_A_TIME]
        alike = np.maximum(part @ plain.T, part @ mirrored.T)
        alike[np.arange(len(part)), start + np.arange(len(part))] = -np.inf
        rows.append(np.argpartition(-alike, kept - 1, axis=1)[:, :kept])
    return np.concatenate(rows)


def _details(small: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Gray float32 `[n, 32, 32]` without shading."""
    gray = small.astype(np.float32) @ _GRAY
    reach = np.arange(-4 * SMALL, 4 * SMALL + 1)
    weights: NDArray[np.float64] = np.exp(-0.5 * (reach / _SHADES) ** 2)
    blur = np.zeros((SMALL, SMALL))
    for place in range(SMALL):
        np.add.at(blur[place], np.clip(place + reach, 0, SMALL - 1), weights / weights.sum())
    shade = blur.astype(np.float32)
    return np.asarray(gray - shade @ gray @ shade.T, dtype=np.float32)


def _crops() -> NDArray[np.float32]:
    """Matrices `[crops, 32, 32]` that cut a part out of 32 values and stretch it to 32."""
    matrices = []
    for fraction, places in _CROPS.items():
        for place in places:
            begin = (1 - fraction) * place
            at = np.clip((begin + fraction * (np.arange(SMALL) + 0.5) / SMALL) * SMALL - 0.5, 0, SMALL - 1)
            low = np.minimum(at.astype(int), SMALL - 2)
            matrix = np.zeros((SMALL, SMALL))
            matrix[np.arange(SMALL), low] = 1 - (at - low)
            matrix[np.arange(SMALL), low + 1] = at - low
            matrices.append(matrix)
    return np.array(matrices, dtype=np.float32)


def _normal(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """With mean 0 and length 1; what has hardly any contrast stays short, so that it is like nothing."""
    centred = vectors - vectors.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    least = np.sqrt(np.float32(vectors.shape[1]))  # one level of 255 in every value
    result: NDArray[np.float32] = centred / np.maximum(length, least)
    return result


def distinct_representatives(groups: Iterable[Group], count: int) -> NDArray[np.int64]:
    """For each of `count` pictures the first of its group, or itself, as int64 `[count]`."""
    first = np.arange(count, dtype=np.int64)
    for group in groups:
        first[list(group.members)] = group.members[0]
    return first
