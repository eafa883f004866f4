"""Preprocess any image to the uint8 array a model expects. Training and serving use the same code.

Needs numpy and Pillow only. Normalisation is not here: it is inside the exported graph.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vision_zoo.core.errors import ImageError
from vision_zoo.images.decode import MAX_PIXELS, ImageHeader, open_image, probe_image
from vision_zoo.images.digits import centred_digit
from vision_zoo.images.samples import bands, eight_bits

__all__ = ["MAX_PIXELS", "ImageHeader", "InputFormat", "open_image", "prepare", "probe_image"]

Crop = Literal["center", "none", "stretch"]
Centring = Literal["none", "center_of_mass"]
Polarity = Literal["any", "light_on_dark"]
Resample = Literal["bilinear", "bicubic", "lanczos"]

_RESAMPLE = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True, kw_only=True)
class InputFormat:
    """What a model takes, and how a foreign image is brought there.

    `crop="center"` cuts the central square out before scaling; `"none"` pads to a square instead, and
    `"stretch"` scales each side by itself.
    `centring="center_of_mass"` finds a digit, scales it into 20/28 of the side and puts its centre of mass
    in the middle, as MNIST was made (see `digits`). `polarity="light_on_dark"` inverts images with a light border.
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
                raise ValueError(f"{name} must be a positive integer of pixels, not {value!r}")
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
        BlankImageError: the model reads digits and there is none.
        SeveralFiguresError: the model reads digits and there are several.
        ImageError: the image's samples cannot be brought to 8 bits.
    """
    flat = _to_mode(image, target)
    if target.centring == "center_of_mass":
        pixels = np.asarray(flat, dtype=np.uint8)
        size, resample = (target.height, target.width), _RESAMPLE[target.resample]
        any_polarity = target.polarity == "light_on_dark"
        return centred_digit(pixels, size, resample, any_polarity=any_polarity).reshape(target.shape)
    if target.polarity == "light_on_dark" and _border_level(flat) > 127:
        flat = flat.point([255 - level for level in range(256)] * target.channels)
    if flat.size != (target.width, target.height):
        flat = _fit(flat, target)
    return np.asarray(flat, dtype=np.uint8).reshape(target.shape).copy()


def _to_mode(image: Image.Image, target: InputFormat) -> Image.Image:
    mode = "L" if target.channels == 1 else "RGB"
    image = eight_bits(image, None)
    if image.mode == "LAB":
        return _from_lab(image).convert(mode)
    if image.mode in ("La", "RGBa"):
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
    if "A" in image.getbands() or "transparency" in image.info:
        return _on_opaque(image, mode, target)
    return image if image.mode == mode else image.convert(mode)


def _from_lab(image: Image.Image) -> Image.Image:
    try:
        from PIL import ImageCms

        lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, rgb, outputMode="RGB")
    except (ImportError, ImageCms.PyCMSError) as error:
        raise ImageError("the image has CIELAB colours, which are not supported; save it as RGB") from error
    if converted is None:
        raise ImageError("the image has CIELAB colours, which are not supported; save it as RGB")
    return converted


def _on_opaque(image: Image.Image, mode: str, target: InputFormat) -> Image.Image:
    # Transparent pictures are meant for a page: white, unless white is what they are drawn in.
    background = 255
    if target.polarity == "light_on_dark":
        opacity = light = 0
        for _, band in bands(image):
            rgba = np.asarray(band.convert("RGBA"), dtype=np.uint32)
            opacity += int(rgba[..., 3].sum())
            light += int((rgba[..., :3].sum(axis=-1) * rgba[..., 3]).sum())
        if light > 3 * 127 * opacity:
            background = 0
    flat = Image.new(mode, image.size)
    for top, band in bands(image):
        canvas = Image.new("RGBA", band.size, (background, background, background, 255))
        canvas.alpha_composite(band.convert("RGBA"))
        flat.paste(canvas.convert(mode), (0, top))
    return flat


def _border_level(image: Image.Image) -> float:
    """The median of the outermost samples."""
    right, bottom = image.width - 1, image.height - 1
    lines = (
        (0, 0, right + 1, 1),
        (0, bottom, right + 1, bottom + 1),
        (0, 0, 1, bottom + 1),
        (right, 0, right + 1, bottom + 1),
    )
    return float(np.median(np.concatenate([np.asarray(image.crop(line)).reshape(-1) for line in lines])))


def _fit(image: Image.Image, target: InputFormat) -> Image.Image:
    resample = _RESAMPLE[target.resample]
    if target.crop == "stretch":
        return image.resize((target.width, target.height), resample)
    if target.crop == "center":
        # the largest centred part with the target's proportions
        scale = min(image.height / target.height, image.width / target.width)
        height, width = max(1, round(target.height * scale)), max(1, round(target.width * scale))
        if (width, height) != image.size:
            top, left = (image.height - height) // 2, (image.width - width) // 2
            image = image.crop((left, top, left + width, top + height))
        return image.resize((target.width, target.height), resample)
    scale = min(target.height / image.height, target.width / image.width)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    canvas = Image.new(
        image.mode, (target.width, target.height), (round(_border_level(image)),) * target.channels
    )
    canvas.paste(
        image.resize(size, resample), ((target.width - size[0]) // 2, (target.height - size[1]) // 2)
    )
    return canvas
