"""Extract a digit from an image: light on dark, scaled and centred like MNIST. Needs numpy and Pillow only."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vision_zoo.core.errors import ImageError
from vision_zoo.images.ink import (
    figure_on_paper,
    is_stain,
    no_digit,
    require_one_figure,
    stroke_limit,
    stroke_width,
)
from vision_zoo.images.morphology import dilation
from vision_zoo.images.sheet import border_level, has_dark_ink, has_ground, inside_sheet, is_plain, reduced

_BOX = 20 / 28
"""MNIST scaled every digit into a box of 20 pixels of the 28 and put its centre of mass at the middle."""
_CENTRED_WITHIN = 0.55
_SMALL = 64
_CUTOUT = 160  # pixels that a photograph of a sheet has more than
_THICK = 0.12  # of the shorter side
_BROAD = 0.08
_PLATEAU = 3  # levels on either side
_ONE_SIDE = 0.9
_BLACK = 8
_FINE = 8  # times as large as in the box are strokes when they are thickened
_STROKE = 2.4  # pixels of the box: the median of MNIST's
_FAINT = 160  # below it, strokes on a plain ground are too thin for the box


def centred_digit(
    pixels: NDArray[np.uint8], size: tuple[int, int], resample: Image.Resampling, *, any_polarity: bool
) -> NDArray[np.uint8]:
    """The digit of a grayscale picture as MNIST would have it: uint8 `[height, width]` of `size`, light on dark.

    An image that is such a one already comes through unchanged. Light drawings on a plain dark ground, and pictures of
    at most `_SMALL` pixels, are taken as they are; anything else for a photograph of a sheet. Without `any_polarity`
    every picture is taken for light on dark.

    Raises:
        BlankImageError: there is no digit.
        SeveralFiguresError: there are several.
    """
    dark = not any_polarity or border_level(pixels) <= 127
    light_on_dark = pixels if dark else 255 - pixels
    if _is_centred(light_on_dark, *size):
        return light_on_dark
    if not any_polarity or max(pixels.shape) <= _SMALL:
        return _placed(_drawing(light_on_dark), *size, resample, thicken=False)
    picture = reduced(Image.fromarray(pixels))
    inside = inside_sheet(picture) if dark else None
    ground = inside is None and has_ground(pixels)
    plain = inside is None and is_plain(pixels)
    cutout = max(pixels.shape) <= _CUTOUT
    black = dark and ground and border_level(pixels) <= _BLACK
    if black or (plain and (dark or cutout)):
        return _plain_drawing(light_on_dark, size, resample)
    if dark and inside is None:
        picture, stroke = _as_dark_ink(picture)
    else:
        stroke = stroke_limit(picture, inside)
    if (stroke is None or stroke >= _THICK or cutout) and (plain or ground or (cutout and inside is None)):
        # a digit as thick as a thumb or cut out along its outline, or else a shadow
        small, level = (
            np.asarray(reduced(Image.fromarray(light_on_dark))),
            border_level(light_on_dark),
        )
        if _is_all_drawing(small, level):
            if is_stain(small, level):
                raise no_digit()
            return _plain_drawing(light_on_dark, size, resample)
    return _placed(figure_on_paper(picture, stroke, inside), *size, resample, thicken=True)


def _as_dark_ink(picture: Image.Image) -> tuple[Image.Image, float | None]:
    """A picture with a dark border, inverted if it is light ink that is on it, and what its strokes are narrower than."""
    inverted = Image.fromarray(255 - np.asarray(picture))
    readings = [_strokes(picture), _strokes(inverted)]
    (dark, dark_weight), (light, light_weight) = readings
    # Any of these may be taken in: by a shadow's edge, by the loops of thick strokes, by much light between thin ones.
    for_light = [
        not has_dark_ink(np.asarray(picture)),
        light is not None and (dark is None or light < dark),
        light_weight > dark_weight,
    ]
    chosen = int(sum(for_light) >= 2)
    return (picture, inverted)[chosen], readings[chosen][0]


def _strokes(picture: Image.Image) -> tuple[float | None, float]:
    """`stroke_limit` of a picture, and how heavy the figure of such strokes is: 0 for none."""
    try:
        stroke = stroke_limit(picture, None)
        return stroke, 0.0 if stroke is None else float(figure_on_paper(picture, stroke).sum())
    except ImageError:
        return None, 0.0


def _is_all_drawing(pixels: NDArray[np.uint8], ground: float) -> bool:
    """Whether only broad strokes stand out from a dark ground: no thin lines, shadow of one level or strip of desk."""
    strongest = float(pixels.max())
    mask = pixels > ground + 0.3 * (strongest - ground)
    if max(edge.mean() for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1])) > _ONE_SIDE:
        return False
    levels = np.bincount(pixels[mask], minlength=256)[: int(ground + 0.85 * (strongest - ground))]
    shadow = np.convolve(levels, np.ones(2 * _PLATEAU + 1)).max() / mask.sum()
    return stroke_width(mask) >= _BROAD * min(pixels.shape) and bool(shadow < 0.2)


def _plain_drawing(
    pixels: NDArray[np.uint8], size: tuple[int, int], resample: Image.Resampling
) -> NDArray[np.uint8]:
    """A light drawing on a plain dark ground as it is, but for strokes that would vanish in the box."""
    require_one_figure(np.asarray(reduced(Image.fromarray(pixels))), border_level(pixels))
    return _placed(_drawing(pixels), *size, resample, thicken=None)


def _drawing(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What is light on a plain dark ground, cut out and stretched to full contrast."""
    # Paper is not black after inversion: take its level off.
    levels = np.clip(np.arange(256) - border_level(pixels), 0, None)
    strongest = levels[pixels.max()]
    if strongest < 16:
        raise no_digit()
    levels *= 255 / strongest
    levels[levels < 32] = 0
    ink = levels.astype(np.uint8)[pixels]
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    drawing: NDArray[np.uint8] = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return drawing


def _placed(
    figure: NDArray[np.uint8], height: int, width: int, resample: Image.Resampling, *, thicken: bool | None
) -> NDArray[np.uint8]:
    """Scale a figure into the box, and put its centre of mass at the middle. `thicken` of None: where it must be."""
    scale = min(round(height * _BOX) / figure.shape[0], round(width * _BOX) / figure.shape[1])
    size = (max(1, round(figure.shape[1] * scale)), max(1, round(figure.shape[0] * scale)))
    scaled = np.asarray(Image.fromarray(figure).resize(size, resample), dtype=np.uint8)
    if thicken or (thicken is None and scaled.max() < _FAINT):
        scaled = _thickened(figure, scaled, resample)
    if not scaled.any():
        raise no_digit()
    size = (scaled.shape[1], scaled.shape[0])
    row, column = _centre_of_mass(scaled)
    # The box is smaller than the canvas, and mass lies inside the box: the content always fits after
    # the clip, at worst one edge touches the canvas's.
    top = min(max(round(height / 2 - row), 0), height - size[1])
    left = min(max(round(width / 2 - column), 0), width - size[0])
    canvas = np.zeros((height, width), dtype=np.uint8)
    canvas[top : top + size[1], left : left + size[0]] = scaled
    return canvas


def _thickened(
    figure: NDArray[np.uint8], scaled: NDArray[np.uint8], resample: Image.Resampling
) -> NDArray[np.uint8]:
    """`scaled`, with strokes thinner than `_STROKE` pixels made so thick and stretched to full contrast.

    The longer side stays as it is: what is thickened is drawn smaller.
    """
    longest = max(scaled.shape) * _FINE
    ink = _fine_ink(figure, longest)
    if ink is None:
        return scaled
    steps = round((_STROKE * _FINE - stroke_width(ink > 127)) / 2)
    smaller = _fine_ink(figure, longest - 2 * steps) if steps > 0 else None
    if smaller is None:
        return scaled
    ink = np.pad(smaller, steps)
    for step in range(steps):
        # a square and a diamond in turn make an octagon
        ink = dilation(ink, 1, square=step % 2 == 0)
    size = (max(1, round(ink.shape[1] / _FINE)), max(1, round(ink.shape[0] / _FINE)))
    thick = np.asarray(Image.fromarray(ink).resize(size, resample), dtype=np.float32)
    stretched: NDArray[np.uint8] = np.clip(thick * (255 / max(float(thick.max()), 1)), 0, 255).astype(
        np.uint8
    )
    return stretched


def _fine_ink(figure: NDArray[np.uint8], longest: int) -> NDArray[np.uint8] | None:
    """The figure with a longer side of so many pixels, its ink at full contrast; None if there is hardly any."""
    scale = longest / max(figure.shape)
    size = (max(1, round(figure.shape[1] * scale)), max(1, round(figure.shape[0] * scale)))
    resample = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    ink = np.asarray(Image.fromarray(figure).resize(size, resample), dtype=np.float32)
    if ink.max() <= 16:
        return None
    full: NDArray[np.uint8] = np.clip(ink * (255 / np.percentile(ink[ink > 16], 80)), 0, 255).astype(np.uint8)
    return full


def _is_centred(pixels: NDArray[np.uint8], height: int, width: int) -> bool:
    if pixels.shape != (height, width) or border_level(pixels) > 0 or pixels.max() < 250:
        return False
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    longest = max(rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1)
    row, column = _centre_of_mass(pixels)
    return bool(
        abs(longest - height * _BOX) <= 1
        and abs(row - height / 2) <= _CENTRED_WITHIN
        and abs(column - width / 2) <= _CENTRED_WITHIN
    )


def _centre_of_mass(pixels: NDArray[np.uint8]) -> tuple[float, float]:
    mass = pixels.astype(np.float64)
    total = mass.sum()
    row = float((mass.sum(axis=1) * np.arange(mass.shape[0])).sum() / total)
    column = float((mass.sum(axis=0) * np.arange(mass.shape[1])).sum() / total)
    return row, column
