"""Detect and remove the lines of ruled and squared paper."""

import numpy as np
from numpy.typing import NDArray

from vision_zoo.images.morphology import runs

_THICKEST = 0.02  # of the shorter side
_SPAN = 0.45  # of the side that a line must cover
_SLOPES = np.linspace(-0.09, 0.09, 37)
_WHOLE = 0.85  # of the side, of a lone line
_MOST_LINES = 400
_STEP = 16
_SOME_LINES = 3
_LEAST_SHOWN = 0.06  # of the side, of a line that leaves the picture above or below
_REACH = 2.0  # pixels on either side of the straight line


def without_lines(darkness: NDArray[np.float32], least: float) -> NDArray[np.float32]:
    """Set ruled lines to 0: thin, straight, across the sheet, level or upright within 5 degrees.

    Where a stroke crosses a line it is thicker than the line, and stays. `least` is the darkness from which a pixel may
    belong to a line.
    """
    mask = darkness > least
    level = _lines(mask)
    upright = _lines(mask.T).T
    if not (level.any() or upright.any()):
        return darkness
    return np.where(level | upright, np.float32(0), darkness)


def _lines(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of level lines."""
    found = np.zeros_like(mask)
    height, width = mask.shape
    thickest = max(4, round(_THICKEST * min(height, width)))
    columns, tops, bottoms = runs(mask.T)
    thin = bottoms - tops <= thickest
    columns, tops, bottoms = columns[thin], tops[thin], bottoms[thin]
    if len(columns) < _SPAN * width:
        return found
    middles = (tops + bottoms - 1) / 2
    centred = columns - width / 2
    margin = int(_SLOPES[-1] * width / 2) + 3
    votes = _votes(middles, centred, margin, height + 2 * margin)
    needed = np.full(votes.shape, _SPAN * width)
    lines: list[NDArray[np.bool_]] = []
    slopes = np.zeros(len(_SLOPES))
    taken = np.zeros(len(columns), dtype=bool)
    while len(lines) < _MOST_LINES:
        number, place = np.unravel_index(np.argmax(votes - needed), votes.shape)
        if votes[number, place] < needed[number, place]:
            break
        offset = middles - _SLOPES[number] * centred + margin
        near = (np.abs(offset - place) <= _REACH) & ~taken
        votes[:, max(0, place - 3) : place + 4] = 0
        if near.sum() < 0.8 * needed[number, place]:
            continue
        taken |= near
        lines.append(near)
        slopes[number] += 1
        if len(lines) == _SOME_LINES:
            # Further lines of the same ruling may leave the picture above or below, and show in part.
            alike = np.convolve(slopes, np.ones(5), mode="same") > 0
            needed[alike] = np.minimum(needed, _visible(width, height, margin))[alike]
    taken = _ruled(lines, bottoms - tops, width)
    if not taken.any():
        return found
    rows = np.zeros((width, height + 1), dtype=np.int32)
    np.add.at(rows, (columns[taken], tops[taken]), 1)
    np.add.at(rows, (columns[taken], bottoms[taken]), -1)
    found[:] = np.cumsum(rows, axis=1)[:, :height].T > 0
    return found


def _ruled(lines: list[NDArray[np.bool_]], thickness: NDArray[np.int64], width: int) -> NDArray[np.bool_]:
    """Which runs are of ruled lines: a few of them, equally thick, or a lone one from border to border. Not of a 1."""
    taken = np.zeros(len(thickness), dtype=bool)
    usual = [float(np.median(thickness[line])) for line in lines]
    thin = 1.5 * float(np.median(usual)) + 1 if lines else 0
    for line, own in zip(lines, usual, strict=True):
        if line.sum() >= _WHOLE * width or (len(lines) >= _SOME_LINES and own <= thin):
            taken |= line & (thickness <= own + 2)
    return taken


def _votes(
    middles: NDArray[np.float64], centred: NDArray[np.float64], margin: int, places: int
) -> NDArray[np.float64]:
    """How many runs lie on the line of each slope and offset: float64 `[slopes, places]`."""
    votes = np.zeros((len(_SLOPES), places))
    for number, slope in enumerate(_SLOPES):
        on = (middles - slope * centred + (margin + 0.5)).astype(np.int64)
        votes[number] = np.bincount(on, minlength=places)[:places]
    # a line may lie across two neighbouring offsets
    votes[:, 1:-1] = votes[:, 1:-1] + np.maximum(votes[:, :-2], votes[:, 2:])
    return votes


def _visible(width: int, height: int, margin: int) -> NDArray[np.float64]:
    """How many runs a partly visible line of each slope and offset should have: float64 `[slopes, places]`."""
    columns = np.arange(0, width, _STEP) - width / 2
    offsets = np.arange(height + 2 * margin) - margin
    rows = offsets[None, :, None] + _SLOPES[:, None, None] * columns
    shown = ((rows >= 0) & (rows < height)).sum(axis=2) * _STEP
    return np.where(shown >= _LEAST_SHOWN * width, 0.6 * shown, np.inf)
