"""What a visitor gave, as an image."""

import base64
import binascii
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image

from vision_zoo.errors import ImageError
from vision_zoo.preprocess import open_image, probe_image

MAX_PIXELS = 16_000_000
"""Of a picture on the page: a visitor's phone takes 12 million."""

_DRAWING = re.compile(r"(data:image/png;revision=\d{1,9};base64),([A-Za-z0-9+/=]*)")


def drawn_image(drawing: Any) -> Image.Image | None:
    """What was drawn on the pad, light on dark: the opacity of the strokes. None for an untouched pad.

    Args:
        drawing: the pad's value, a PNG as a data URL; other text is a pad that has been cleared.

    Raises:
        ImageError: the PNG cannot be decoded.
    """
    found = _DRAWING.fullmatch(drawing) if isinstance(drawing, str) else None
    if found is None:
        return None
    try:
        image = decoded(base64.b64decode(found[2], validate=True))
    except binascii.Error as error:
        raise ImageError("the drawing is damaged; clear the pad and draw again") from error
    opacity = image.convert("RGBA").getchannel("A")
    return opacity if opacity.getbbox() is not None else None


def uploaded_image(picture: Any) -> Image.Image | None:
    """The picture that a visitor chose; None for none.

    Args:
        picture: Gradio's reference to a file, which was checked when it arrived.

    Raises:
        ImageError: it cannot be decoded, is too large, or has been deleted meanwhile.
    """
    if not isinstance(picture, Mapping):
        return None
    try:
        content = Path(picture["path"]).read_bytes()
    except OSError as error:
        raise ImageError("this picture is no longer kept here; choose it again") from error
    return decoded(content)


def decoded(content: bytes) -> Image.Image:
    """An image file's pixels.

    Raises:
        ImageError: it is no image, damaged, or has more than `MAX_PIXELS` pixels.
    """
    return open_image(content, max_pixels=MAX_PIXELS)


def pixels(picture: Any) -> int:
    """How many a chosen picture has, as its header says; 0 where it says nothing that can be read."""
    if not isinstance(picture, Mapping):
        return 0
    try:
        return probe_image(Path(picture["path"]).read_bytes(), max_pixels=MAX_PIXELS).pixels
    except (ImageError, OSError):  # what is wrong with it is said where it is decoded
        return 0


def drawing_key(drawing: Any) -> str:
    """What names a drawing in its answers, as page.js does."""
    return _key(drawing.split(",")[0] if isinstance(drawing, str) else "")


def picture_key(picture: Any, dataset: Any) -> str:
    """What names a picture and a dataset in their answers, as page.js does."""
    directory = Path(picture["path"]).parent.name if isinstance(picture, Mapping) else ""
    return _key(directory, str(dataset))


def _key(*values: str) -> str:
    return "~".join(quote(value, safe="!~*'()") for value in values)
