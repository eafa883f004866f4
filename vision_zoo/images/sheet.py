"""Background of a digit: plain, a sheet that fills the image, or a light sheet on a dark surface."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vision_zoo.images.morphology import closing, components, dilation

LONGEST = 640
_COARSE = 160
_TOUCHING = 0.1
_PLAIN_WITHIN = 2  # levels


def border(pixels: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([edge.reshape(-1) for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])])


def border_level(pixels: NDArray[np.uint8]) -> float:
    """The median of the outermost pixels; of so few of them sorting gives it sooner than numpy's `median`."""
    edge = np.sort(border(pixels))
    middle = edge.size // 2
    return (float(edge[middle]) + float(edge[~middle])) / 2


def is_plain(pixels: NDArray[np.uint8]) -> bool:
    """Whether the ground is of one level: most of the border is, and the rest is not of one other."""
    edge = border(pixels).astype(np.int16)
    near = np.abs(edge - np.median(edge)) <= _PLAIN_WITHIN
    rest = np.bincount(edge[~near], minlength=256)
    another = np.convolve(rest, np.ones(2 * _PLAIN_WITHIN + 1)).max() / edge.size
    return bool(near.mean() >= 0.4 and another < 0.15)


def has_ground(pixels: NDArray[np.uint8]) -> bool:
    """Whether much of the picture is of the border's level."""
    ground = border_level(pixels)
    near = (pixels >= ground - _PLAIN_WITHIN) & (pixels <= ground + _PLAIN_WITHIN)
    return bool(near.mean() >= 0.4)


def reduced(picture: Image.Image, longest: int = LONGEST) -> Image.Image:
    """At most `longest` pixels long, each the mean of those that it stands for."""
    scale = max(picture.size) / longest
    if scale <= 1:
        return picture
    size = (max(1, round(picture.width / scale)), max(1, round(picture.height / scale)))
    return picture.resize(size, Image.Resampling.BOX)


def inside_sheet(picture: Image.Image) -> NDArray[np.bool_] | None:
    """Where the light sheet is in a picture with a dark border, bool `[height, width]`; None if there is none."""
    small = reduced(picture, _COARSE)
    gray = np.asarray(small)
    edge = border(gray)
    ground = float(np.percentile(edge, 90))
    light = components(gray > max(1.2 * ground, ground + 12))
    if not len(light):
        return None
    main = int(light.area.argmax())
    height, width = light.bottom[main] - light.top[main], light.right[main] - light.left[main]
    box = np.s_[light.top[main] : light.bottom[main], light.left[main] : light.right[main]]
    mask = np.zeros(gray.shape, dtype=bool)
    mask[box] = _filled(light.labels[box] == main)
    # A thick digit, light on dark, may fill much of its box as well, but hardly so much of it.
    black = float(np.median(edge)) <= 8
    if (border(light.labels) == main).mean() > _TOUCHING:  # that is paper, and the border in its shadow
        return None
    drawn = light.area[main] / (height * width)
    if (
        min(height, width) < 0.35 * min(gray.shape)
        or mask[box].mean() < (0.85 if black else 0.65)
        or drawn < (0.8 if black else 0.55)
    ):
        return None
    shrunk = ~dilation(~mask, 2)
    whole = Image.fromarray(shrunk).resize(picture.size, Image.Resampling.NEAREST)
    return np.asarray(whole)


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """With everything between the outermost pixels of each row and column."""
    between = np.ones_like(mask)
    for axis in (0, 1):
        forth = np.maximum.accumulate(mask, axis=axis)
        back = np.flip(np.maximum.accumulate(np.flip(mask, axis), axis=axis), axis)
        between &= forth & back
    return between


def has_dark_ink(gray: NDArray[np.uint8]) -> bool:
    """Whether what is narrow is darker than its surroundings rather than lighter."""
    for fraction in (0.03, 0.08, 0.25):
        size = max(7, round(fraction * min(gray.shape)))
        dark = closing(gray, size).astype(np.float32) / np.maximum(gray, 8)
        light = np.maximum(gray, 8) / np.maximum(255.0 - closing(255 - gray, size), 8)
        strongest = [float(np.percentile(ratio, 99.7)) for ratio in (dark, light)]
        if max(strongest) > 1.4:
            return strongest[0] > strongest[1]
    return True
