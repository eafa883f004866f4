"""Any image → the uint8 array a model takes. Training and serving use the same code.

Needs numpy and Pillow only. Normalisation is not here: it is inside the exported graph.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vision_zoo.decode import MAX_PIXELS, ImageHeader, open_image, probe_image
from vision_zoo.errors import BlankImageError
from vision_zoo.samples import eight_bits

__all__ = ["MAX_PIXELS", "ImageHeader", "InputFormat", "open_image", "prepare", "probe_image"]

Crop = Literal["center", "none"]
Centring = Literal["none", "center_of_mass"]
Polarity = Literal["any", "light_on_dark"]
Resample = Literal["bilinear", "bicubic", "lanczos"]

_RESAMPLE = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# MNIST scaled every digit into a box of 20 pixels of the 28 and put its centre of mass at the middle.
_DIGIT_BOX = 20 / 28
_CENTRED_WITHIN = 0.55


@dataclass(frozen=True, kw_only=True)
class InputFormat:
    """What a model takes, and how a foreign image is brought there.

    `crop="center"` cuts the central square out before scaling; `"none"` pads to a square instead.
    `centring="center_of_mass"` scales the content into 20/28 of the side and puts its centre of mass
    in the middle, as MNIST was made. `polarity="light_on_dark"` inverts images with a light border.
    """

    channels: int
    height: int
    width: int
    crop: Crop = "center"
    centring: Centring = "none"
    polarity: Polarity = "any"
    resample: Resample = "bilinear"

    def __post_init__(self) -> None:
        if self.channels not in (1, 3) or isinstance(self.channels, bool):
            raise ValueError(f"channels must be 1 (grayscale) or 3 (RGB), not {self.channels!r}")
        for name in ("height", "width"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a positive whole number of pixels, not {value!r}")
        for name, choices in (
            ("crop", get_args(Crop)),
            ("centring", get_args(Centring)),
            ("polarity", get_args(Polarity)),
            ("resample", get_args(Resample)),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, not {getattr(self, name)!r}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of one image."""
        return (self.height, self.width, self.channels)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def prepare(image: Image.Image, target: InputFormat) -> NDArray[np.uint8]:
    """Bring an image to what a model takes: uint8 `[height, width, channels]`.

    An image that already has the model's size and, where the model wants them, its polarity and centring
    comes through unchanged: MNIST's own images are predicted exactly as they were tested.

    Raises:
        BlankImageError: the model centres its input and the image has no content to centre.
    """
    flat = _to_mode(image, target)
    pixels = np.asarray(flat, dtype=np.uint8)
    if target.polarity == "light_on_dark":
        pixels = _light_on_dark(pixels)
    if target.centring == "center_of_mass":
        pixels = _centre_by_mass(pixels, target)
    elif pixels.shape[:2] != (target.height, target.width):
        pixels = _fit(pixels, target)
    return np.ascontiguousarray(pixels.reshape(target.shape))


def _to_mode(image: Image.Image, target: InputFormat) -> Image.Image:
    mode = "L" if target.channels == 1 else "RGB"
    image = eight_bits(image, None)
    if "A" in image.getbands() or "transparency" in image.info:
        image = _on_opaque(image.convert("RGBA"), target)
    return image.convert(mode)


def _on_opaque(image: Image.Image, target: InputFormat) -> Image.Image:
    # Transparent pictures are meant for a page: white, unless white is what they are drawn in.
    background = 255
    if target.polarity == "light_on_dark":
        rgba = np.asarray(image, dtype=np.float64)
        alpha = rgba[..., 3]
        if alpha.sum() > 0 and (rgba[..., :3].mean(axis=-1) * alpha).sum() / alpha.sum() > 127:
            background = 0
    canvas = Image.new("RGBA", image.size, (background, background, background, 255))
    canvas.alpha_composite(image)
    return canvas


def _border(pixels: NDArray[np.uint8]) -> float:
    edges = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    return float(np.median(np.concatenate([edge.reshape(-1) for edge in edges])))


def _light_on_dark(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return 255 - pixels if _border(pixels) > 127 else pixels


def _fit(pixels: NDArray[np.uint8], target: InputFormat) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    if target.crop == "center":
        # the largest centred part with the target's proportions
        scale = min(height / target.height, width / target.width)
        part_height, part_width = max(1, round(target.height * scale)), max(1, round(target.width * scale))
        top, left = (height - part_height) // 2, (width - part_width) // 2
        part = pixels[top : top + part_height, left : left + part_width]
        return _resize(part, target.height, target.width, target)
    scale = min(target.height / height, target.width / width)
    scaled = _resize(pixels, max(1, round(height * scale)), max(1, round(width * scale)), target)
    canvas = np.full(target.shape, round(_border(pixels)), dtype=np.uint8)
    top, left = (target.height - scaled.shape[0]) // 2, (target.width - scaled.shape[1]) // 2
    canvas[top : top + scaled.shape[0], left : left + scaled.shape[1]] = scaled.reshape(
        *scaled.shape[:2], target.channels
    )
    return canvas


def _resize(pixels: NDArray[np.uint8], height: int, width: int, target: InputFormat) -> NDArray[np.uint8]:
    resized = Image.fromarray(pixels).resize((width, height), _RESAMPLE[target.resample])
    return np.asarray(resized, dtype=np.uint8)


def _centre_by_mass(pixels: NDArray[np.uint8], target: InputFormat) -> NDArray[np.uint8]:
    if _is_centred(pixels, target):
        return pixels
    # Paper is not black after inversion: take its level off and stretch the ink to full contrast.
    ink = np.clip(pixels.astype(np.float64) - _border(pixels), 0, None)
    strongest = ink.max(initial=0)
    if strongest < 16:
        raise BlankImageError("the image is blank; expected a digit or another figure on a plain background")
    ink = ink * (255 / strongest)
    ink[ink < 32] = 0
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    content = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.uint8)
    box_height, box_width = round(target.height * _DIGIT_BOX), round(target.width * _DIGIT_BOX)
    scale = min(box_height / content.shape[0], box_width / content.shape[1])
    height = max(1, round(content.shape[0] * scale))
    width = max(1, round(content.shape[1] * scale))
    scaled = _resize(content, height, width, target)
    row, column = _centre_of_mass(scaled)
    # The box is smaller than the canvas, and mass lies inside the box: the content always fits after
    # the clip, at worst one edge touches the canvas's.
    top = min(max(round(target.height / 2 - row), 0), target.height - height)
    left = min(max(round(target.width / 2 - column), 0), target.width - width)
    canvas = np.zeros((target.height, target.width), dtype=np.uint8)
    canvas[top : top + height, left : left + width] = scaled
    return canvas


def _is_centred(pixels: NDArray[np.uint8], target: InputFormat) -> bool:
    if pixels.shape[:2] != (target.height, target.width) or _border(pixels) > 0 or pixels.max() < 250:
        return False
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    longest = max(rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1)
    row, column = _centre_of_mass(pixels)
    return bool(
        abs(longest - target.height * _DIGIT_BOX) <= 1
        and abs(row - target.height / 2) <= _CENTRED_WITHIN
        and abs(column - target.width / 2) <= _CENTRED_WITHIN
    )


def _centre_of_mass(pixels: NDArray[np.uint8]) -> tuple[float, float]:
    mass = pixels.astype(np.float64)
    total = mass.sum()
    row = float((mass.sum(axis=1) * np.arange(mass.shape[0])).sum() / total)
    column = float((mass.sum(axis=0) * np.arange(mass.shape[1])).sum() / total)
    return row, column
