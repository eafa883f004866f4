"""Inspection of one picture file: its container, its pixels, and a small copy to compare it with others."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vision_zoo.core.errors import ImageError
from vision_zoo.core.threads import without_warnings
from vision_zoo.data.scan import FoundFile
from vision_zoo.images.containers import read_container
from vision_zoo.images.decode import DECODABLE_FORMATS, open_image, probe_image
from vision_zoo.images.preprocess import InputFormat, prepare

SMALL = 32
"""Side of the small copy in pixels."""

_SUFFIXES = {
    "PNG": "png apng",
    "JPEG": "jpg jpeg jpe jfif",
    "WEBP": "webp",
    "BMP": "bmp dib",
    "GIF": "gif",
    "TIFF": "tif tiff",
    "PPM": "pgm ppm pbm pnm",
    "AVIF": "avif",
}
_ONE_COLOUR = 16
_GRAY = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Inspected:
    """A picture file in class `label` of `split`.

    `sha256` is of the content, `pixels` of the decoded pixels, `size` (width, height) upright, `format` and `mode`
    Pillow's, `small` uint8 `[32, 32, 3]`, `prepared` uint8 `[side, side, 3]` for a network. `wrong_suffix`: the name ends
    as another format's does. `error` says why a file cannot be read; the rest is empty then.
    """

    file: FoundFile
    split: str
    label: str
    sha256: str = ""
    error: str = ""
    pixels: str = ""
    size: tuple[int, int] = (0, 0)
    format: str = ""
    mode: str = ""
    wrong_suffix: bool = False
    animated: bool = False
    deep: bool = False
    one_colour: bool = False
    gray: bool = False
    small: NDArray[np.uint8] | None = None
    prepared: NDArray[np.uint8] | None = None

    @property
    def name(self) -> str:
        return self.file.name


def inspect(file: FoundFile, split: str, label: str, side: int | None) -> Inspected:
    """Inspect a file; what is wrong with it stands in the result. Without `side` there is no `prepared`."""
    sha256 = ""
    try:
        content = file.path.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        header = probe_image(content)
        image = open_image(content)
        prepared = None if side is None else prepare(image, InputFormat(channels=3, height=side, width=side))
        small = _small(image)
        samples = read_container(content).samples
        extrema = image.getextrema()
    except (ImageError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return Inspected(
            file=file,
            split=split,
            label=label,
            sha256=sha256,
            error=(reason or str(error)).removeprefix("the image").lstrip(": "),
        )
    ranges = extrema if isinstance(extrema[0], tuple) else (extrema,)
    return Inspected(
        file=file,
        split=split,
        label=label,
        sha256=sha256,
        pixels=_pixels(image),
        size=image.size,
        format=header.format,
        mode=header.mode,
        wrong_suffix=PurePath(file.name).suffix.lower().removeprefix(".")
        not in _SUFFIXES[header.format].split(),
        animated=_is_animated(content),
        deep=header.mode.startswith("I") or header.mode == "F" or (samples is not None and samples.bits > 8),
        one_colour=image.mode != "P" and all(high - low <= _ONE_COLOUR for low, high in ranges),
        gray=bool((small.max(axis=2).astype(int) - small.min(axis=2)).max() <= _GRAY),
        small=small,
        prepared=prepared,
    )


def _small(image: Image.Image) -> NDArray[np.uint8]:
    """The whole picture in 32 x 32, without regard to its proportions: a copy that was scaled otherwise is the same."""
    whole = InputFormat(channels=3, height=image.height, width=image.width, crop="none")
    flat = image if image.mode == "RGB" else Image.fromarray(prepare(image, whole))
    return np.asarray(flat.resize((SMALL, SMALL), Image.Resampling.BILINEAR), dtype=np.uint8)


def _pixels(image: Image.Image) -> str:
    plain = image if image.mode in ("L", "RGB") else image.convert("RGBA")
    return hashlib.sha256(f"{plain.mode} {plain.size} ".encode() + plain.tobytes()).hexdigest()


def _is_animated(content: bytes) -> bool:
    """Whether the file has several frames; no pixel is decoded."""
    try:
        with without_warnings(), Image.open(io.BytesIO(content), formats=DECODABLE_FORMATS) as image:
            return bool(getattr(image, "is_animated", False))
    except Exception:  # noqa: BLE001  (metadata that `open_image` leaves out may be damaged in any way)
        return False
