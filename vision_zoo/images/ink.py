"""Find ink on a photographed sheet, by its darkness relative to the paper, and cut out the digit.

Needs numpy and Pillow only. Lengths are in pixels of the reduced picture.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from vision_zoo.core.errors import BlankImageError, SeveralFiguresError
from vision_zoo.images.morphology import Components, closing, components, dilation
from vision_zoo.images.ruling import without_lines

_STROKES = (0.03, 0.05, 0.08, 0.12, 0.17, 0.22, 0.28)  # what a stroke is narrower than, of the shorter side
_DARKEST_PAPER = 0.35  # of the lightest: below it, darkness is measured as if the paper were so light
_THICKEST = 0.33  # of a digit's longer side
_FLATTEST = 2.5  # times as wide as high
_LEAST_UNSURE = 0.1  # of the shorter side, where no stroke was found but something dark
_SHADOW = 0.65  # of full contrast
_LARGE = 320
_UNSTABLE = 0.8
_STABLE = 0.25  # of the logarithm of the mass
_SMOOTH_ABOVE = 2  # levels between neighbours
_LEAST_CONTRAST = 20  # of 255, of ink against its paper
_LEAST_SIDE = 0.03  # of the shorter side: anything smaller is a speck


def figure_on_paper(
    picture: Image.Image, stroke: float | None, inside: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """Find the one figure in dark ink on lighter paper, and cut it out: uint8 `[height, width]`, 255 the darkest ink.

    `picture` is grayscale, some hundred pixels long, and `stroke` is what `stroke_limit` says of it. Light that falls
    off, shadows, a darker surrounding, noise, ruled lines and specks are left out. What lies outside the mask `inside`
    is not looked at.

    Raises:
        BlankImageError: there is no figure.
        SeveralFiguresError: there are several.
    """
    gray = np.asarray(picture, dtype=np.uint8)
    ink = _ink(gray, max(9, round((stroke or _STROKES[-1]) * min(gray.shape))), inside)
    if ink is None:
        raise no_digit()
    return _one_figure(ink)


def stroke_limit(picture: Image.Image, inside: NDArray[np.bool_] | None) -> float | None:
    """Upper limit of the stroke width on paper, as a fraction of the shorter side; None if none is found.

    Raises BlankImageError if nothing is darker than its paper.
    """
    # What is wider than a stroke may be a shadow, so strokes are looked for from the thinnest on. Half the size will do.
    half = picture.reduce(2) if max(picture.size) > _LARGE else picture
    gray = np.asarray(half, dtype=np.uint8)
    if inside is not None and half is not picture:
        inside = inside[::2, ::2][: gray.shape[0], : gray.shape[1]]
    # Whole strokes stay as they are when wider ones are looked for; what was a stroke's or a shadow's corner grows.
    before: tuple[float, float] | None = None
    best, least_growth = None, _UNSTABLE
    longest = 0
    for fraction in _STROKES:
        size = max(7, round(fraction * min(gray.shape)))
        ink = _ink(gray, size, inside)
        if ink is None:
            before = None
            continue
        longest = max(longest, ink.main_side)
        mass = float(ink.masses.max())
        if before is not None:
            growth = float(np.log(mass / before[1]))
            if -_STABLE < growth < least_growth:
                best, least_growth = before[0], growth
            if abs(growth) < _STABLE:
                return best
        before = (fraction, mass) if ink.is_whole(size) else None
    if longest < _LEAST_UNSURE * min(gray.shape):
        raise no_digit()
    return best


def no_digit() -> BlankImageError:
    return BlankImageError("there is no digit; expected one on a plain background")


@dataclass(frozen=True, eq=False)
class _Ink:
    """`darkness` is uint8, 255 the ink's own; `parts` are the connected parts of what is dark enough."""

    darkness: NDArray[np.uint8]
    parts: Components
    masses: NDArray[np.float64]

    @property
    def main(self) -> int:
        """The number of the heaviest part."""
        return int(self.masses.argmax())

    @property
    def main_side(self) -> int:
        """The longer side of the heaviest part."""
        parts, main = self.parts, self.main
        return int(max(parts.bottom[main] - parts.top[main], parts.right[main] - parts.left[main]))

    def is_whole(self, size: int) -> bool:
        """Whether strokes were found, rather than the corners of strokes that are wider than `size`."""
        parts, main = self.parts, self.main
        box = np.s_[parts.top[main] : parts.bottom[main], parts.left[main] : parts.right[main]]
        mask = parts.labels[box] == main
        return max(mask.shape) >= 2 * size and stroke_width(mask) <= 0.8 * size


def stroke_width(mask: NDArray[np.bool_]) -> float:
    """The width of the strokes of a figure, in pixels: twice its area over the length of its outline."""
    padded = np.pad(mask, 1)
    outline = sum(int((turned[1:] != turned[:-1]).sum()) for turned in (padded, padded.T))
    return 2 * float(mask.sum()) / (0.8 * max(outline, 1))


def _ink(gray: NDArray[np.uint8], size: int, inside: NDArray[np.bool_] | None) -> _Ink | None:
    darkness, spread = _darkness(gray, size)
    if inside is not None:
        darkness[~inside] = 0
    darkness = without_lines(darkness, max(0.5 * _LEAST_CONTRAST, 3 * spread))
    ink = _ink_level(darkness)
    if ink < max(_LEAST_CONTRAST, 5 * spread):
        return None
    low, high = max(0.3 * ink, 3 * spread), max(0.5 * ink, 4.5 * spread)
    parts = components(darkness > low)
    seeded = np.unique(parts.labels[(darkness > high) & (parts.labels >= 0)])
    masses = np.zeros(len(parts))
    masses[seeded] = parts.sums(darkness)[seeded]
    masses[_across(parts)] = 0
    if not masses.any():
        return None
    stretched = np.clip((darkness - 0.5 * low) * (255 / (ink - 0.5 * low)), 0, 255)
    return _Ink(stretched.astype(np.uint8), parts, masses)


def _across(parts: Components) -> NDArray[np.bool_]:
    """Which parts reach from border to border along a third one: a strip of desk, not a digit."""
    height, width = parts.labels.shape
    touched = np.stack([parts.top == 0, parts.left == 0, parts.bottom == height, parts.right == width])
    across: NDArray[np.bool_] = touched.sum(axis=0) >= 3
    return across


def _darkness(gray: NDArray[np.uint8], size: int) -> tuple[NDArray[np.float32], float]:
    """How much darker each pixel is than its paper, 0 to 255, and how far paper itself strays from that."""
    noise = np.median(np.abs(np.diff(gray[::2].astype(np.int16), axis=1)))
    if noise > _SMOOTH_ABOVE:
        gray = np.asarray(Image.fromarray(gray).filter(ImageFilter.BoxBlur(1)))
    paper = closing(gray, size).astype(np.float32)
    lightest = max(float(np.percentile(paper[::8, ::8], 95)), 1)
    darkness = (paper - gray) * (255 / np.maximum(paper, _DARKEST_PAPER * lightest))
    sample = darkness[::4, ::4]
    usual = float(np.median(sample))
    spread = 1.48 * float(np.median(np.abs(sample - usual)))
    return np.maximum(darkness - usual, 0), spread


def _ink_level(darkness: NDArray[np.float32]) -> float:
    # the darkest pixels but a few: of the thinnest pen there are some hundred
    counts = np.bincount(darkness.astype(np.uint8).reshape(-1), minlength=256)
    from_the_darkest = np.cumsum(counts[::-1])
    return 255.0 - int(np.searchsorted(from_the_darkest, max(20, darkness.size // 4000)))


def _one_figure(ink: _Ink) -> NDArray[np.uint8]:
    """The darkness of the figure alone, cut out."""
    mask = np.isin(ink.parts.labels, _figure(ink.parts, ink.masses))
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    # a shadow or a stain, or a dash
    if stroke_width(mask) > _THICKEST * max(height, width) or width > _FLATTEST * height:
        raise no_digit()
    # the faint rim of a stroke belongs to it
    shown = np.where(dilation(mask, 1), ink.darkness, 0).astype(np.uint8)
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    return shown[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def require_one_figure(gray: NDArray[np.uint8], ground: float) -> None:
    """Raise BlankImageError without a figure on the plain ground, and SeveralFiguresError for several."""
    lightness = np.clip(gray.astype(np.float32) - ground, 0, None)
    parts = components(lightness > max(16, 0.3 * float(lightness.max())))
    _figure(parts, parts.sums(lightness))


def is_stain(gray: NDArray[np.uint8], ground: float) -> bool:
    """Whether what stands out from a dark ground of a level is as broad as a blot, and not strong: a shadow, inverted."""
    lightness = np.clip(gray.astype(np.float32) - ground, 0, None)
    mask = lightness > 0.5 * float(lightness.max())
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows) or lightness.max() > _SHADOW * (255 - ground):
        return False
    return stroke_width(mask) > 0.6 * _THICKEST * int(max(np.ptp(rows), np.ptp(columns)) + 1)


def _figure(parts: Components, masses: NDArray[np.float64]) -> list[int]:
    """The parts of the one figure that there is."""
    if not masses.any():
        raise no_digit()
    sides = np.maximum(parts.bottom - parts.top, parts.right - parts.left)
    main = int(masses.argmax())
    least = max(5, _LEAST_SIDE * min(parts.labels.shape))
    if sides[main] < least:
        raise no_digit()
    own = np.flatnonzero((masses >= 0.02 * masses[main]) & (sides >= 0.5 * least))
    groups = _groups(parts, masses, own[np.argsort(-masses[own])])
    if len(groups) > 1:
        raise SeveralFiguresError(f"the image has {len(groups)} separate shapes; expected one digit")
    return groups[0]


def _groups(parts: Components, masses: NDArray[np.float64], own: NDArray[np.int64]) -> list[list[int]]:
    """The parts of each figure, the heaviest figure first. Small parts far from any figure belong to none."""
    groups: list[list[int]] = []
    boxes: list[tuple[int, int, int, int]] = []
    for part in own.tolist():
        box = (int(parts.top[part]), int(parts.left[part]), int(parts.bottom[part]), int(parts.right[part]))
        near = [number for number, other in enumerate(boxes) if _belong_together(box, other)]
        if near:
            groups[near[0]].append(part)
            other = boxes[near[0]]
            boxes[near[0]] = (
                min(box[0], other[0]),
                min(box[1], other[1]),
                max(box[2], other[2]),
                max(box[3], other[3]),
            )
        elif not groups or (
            _side(box) >= 0.45 * _side(boxes[0]) and masses[part] >= 0.2 * masses[groups[0][0]]
        ):
            groups.append([part])
            boxes.append(box)
    return groups


def _side(box: tuple[int, int, int, int]) -> int:
    return max(box[2] - box[0], box[3] - box[1])


def _belong_together(box: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    """Whether two strokes are one figure's: near each other, and not two upright ones side by side."""
    across = max(box[1], other[1]) - min(box[3], other[3])
    along = max(box[0], other[0]) - min(box[2], other[2])
    larger = max(_side(box), _side(other))
    shorter, taller = sorted((box[2] - box[0], other[2] - other[0]))
    if across > 0.1 * larger and shorter > 0.6 * taller and taller > 0.6 * larger:
        return False
    return max(across, along) <= 0.25 * larger
