"""Convert samples of more than 8 bits to 8 bits, if their black and white points are known."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vision_zoo.core.errors import ImageError

_PIXELS_AT_A_TIME = 2**18
_TELLING_FRACTION = 1 / 4
_OVERSHOOT = 1 / 32  # of interpolation that is sharper than linear
_ADVICE = "save it with 8 bits per sample"


@dataclass(frozen=True)
class Samples:
    """How a file describes its samples.

    `kind` is their type, `bits` their length; `range` the darkest and the lightest, None where the file does not tell;
    `white_is_zero` that they count from light to dark.
    """

    kind: Literal["unsigned", "signed", "float"]
    bits: int
    range: tuple[float, float] | None = None
    white_is_zero: bool = False


def eight_bits(image: Image.Image, samples: Samples | None) -> Image.Image:
    """Bring a decoded image to 8 bits per sample.

    The range of the samples is the file's. Where it tells none, unsigned samples of 16 bits are taken for 0 to 65535,
    and floating-point ones for 0 to 1; a picture in the darkest quarter of such a range is refused, since it may have
    8, 10, 12 or 14 bits. So are samples outside the range, and signed or 32-bit integers of no told range.

    Without `samples`, for images made in memory, `I` and `F` hold 0 to 255 as Pillow's own conversion leaves them, and
    failing that 0 to 65535 and 0 to 1.

    Raises:
        ImageError: it cannot be known which samples are black and white.
    """
    if not (image.mode.startswith("I") or image.mode == "F"):
        return _shallow(image, samples)
    lowest, highest = _extrema(image, samples)
    if samples is None:
        samples = _made_in_memory(image.mode, highest)
    black, white = samples.range or _usual_range(samples, lowest, highest)
    margin = _OVERSHOOT * (white - black) if samples.kind == "float" else 0
    if lowest < black - margin or highest > white + margin:
        raise ImageError(
            f"its samples go from {lowest:g} to {highest:g}; expected them between {black:g} and {white:g}: {_ADVICE}"
        )
    if samples.white_is_zero:
        black, white = white, black
    gray = Image.new("L", image.size)
    opaque = Image.new("L", image.size) if isinstance(image.info.get("transparency"), int) else None
    for top, values in _values(image, samples):
        scaled = (values.astype(np.float64) - black) * (255 / (white - black))
        gray.paste(Image.fromarray(np.clip(scaled, 0, 255).round().astype(np.uint8)), (0, top))
        if opaque is not None:
            shown = np.where(values == image.info["transparency"], 0, 255).astype(np.uint8)
            opaque.paste(Image.fromarray(shown), (0, top))
    return gray if opaque is None else Image.merge("LA", (gray, opaque))


def _shallow(image: Image.Image, samples: Samples | None) -> Image.Image:
    if samples is None:
        return image
    if samples.kind == "signed":
        raise ImageError(f"its samples are signed; expected unsigned ones: {_ADVICE}")
    if samples.bits > 8:
        # Pillow keeps the upper 8 of 16 bits.
        bands = [band for band in image.getbands() if band not in "Aa"]
        highest = max(image.getchannel(band).getextrema()[1] for band in bands)
        if highest < 255 * _TELLING_FRACTION:  # type: ignore[operator]
            raise ImageError(_untold(f"{samples.bits}-bit samples", 65535))
    return image


def _usual_range(samples: Samples, lowest: float, highest: float) -> tuple[float, float]:
    if samples.kind == "signed" or (samples.kind == "unsigned" and samples.bits != 16):
        raise ImageError(
            f"it does not state the range of its {samples.kind} {samples.bits}-bit samples: {_ADVICE}"
        )
    white = 1 if samples.kind == "float" else 65535
    if lowest >= 0 and 0 < highest < white * _TELLING_FRACTION:
        raise ImageError(_untold(f"samples up to {highest:g}", white))
    return (0, white)


def _untold(what: str, white: float) -> str:
    return f"it has {what} where white would be {white:g}, and does not state their range: {_ADVICE}"


def _made_in_memory(mode: str, highest: float) -> Samples:
    if mode == "F":
        return Samples("float", 32, (0, 1 if highest <= 1 else 255))
    if mode == "I" and highest <= 255:
        return Samples("signed", 32, (0, 255))
    return Samples("unsigned", 16)


def _extrema(image: Image.Image, samples: Samples | None) -> tuple[float, float]:
    extremes = [(values.min(), values.max()) for _, values in _values(image, samples)]
    lowest, highest = min(float(least) for least, _ in extremes), max(float(most) for _, most in extremes)
    # A NaN hides in neither `min` nor `max` of an array, but may in Python's.
    if not all(math.isfinite(least) and math.isfinite(most) for least, most in extremes):
        raise ImageError(f"it has samples that are not finite; expected numbers: {_ADVICE}")
    return lowest, highest


def _values(image: Image.Image, samples: Samples | None) -> Iterator[tuple[int, NDArray[Any]]]:
    for top, band in bands(image):
        values = np.asarray(band)
        # Pillow has no mode for unsigned integers of 32 bits: the upper half come as negative ones.
        if image.mode == "I" and samples is not None and samples.kind == "unsigned" and samples.bits == 32:
            values = values.view(np.uint32)
        yield top, values


def bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The topmost row and the pixels of one band of rows after the other: never a copy of the whole image."""
    rows = max(1, _PIXELS_AT_A_TIME // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))
