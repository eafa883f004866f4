"""Input of a visitor as an image file, and the example pictures."""

import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image

from vision_zoo.core.errors import ImageError

_PICTURES = Path(__file__).parent / "pictures"
_DRAWING = re.compile(r"data:image/png;revision=\d{1,9};base64,")


Picture = Callable[[], bytes]
"""Reads an image file, for the threads that decode; ImageError if it is damaged or gone."""


def drawn_file(drawing: Any) -> Picture | None:
    """The drawing on the pad, a PNG with dark strokes on nothing; None for an untouched or cleared pad.

    `drawing` is the pad's value, a data URL.
    """
    found = _DRAWING.match(drawing) if isinstance(drawing, str) else None
    return None if found is None else partial(_decoded, drawing[found.end() :])


def chosen_file(picture: Any) -> Picture | None:
    """The picture of Gradio's file reference, which was checked on arrival; None for none."""
    return partial(_content, Path(picture["path"])) if isinstance(picture, Mapping) else None


def _decoded(base64: str) -> bytes:
    try:
        return binascii.a2b_base64(base64, strict_mode=True)
    except ValueError as error:
        raise ImageError("the drawing is damaged; draw again") from error


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError("this picture is no longer available; choose it again") from error


def drawing_key(drawing: Any, *chosen: str) -> str:
    """What names a drawing, and what was `chosen` beside it, in its answers, as page.js does."""
    return _key(drawing.partition(",")[0] if isinstance(drawing, str) else "", *chosen)


def picture_key(picture: Any, dataset: Any) -> str:
    """What names a picture and a dataset in their answers, as page.js does."""
    return _key(Path(picture["path"]).parent.name if isinstance(picture, Mapping) else "", str(dataset))


def _key(*values: str) -> str:
    return "~".join(quote(value, safe="!~*'()") for value in values)


@dataclass(frozen=True)
class Example:
    """A picture's file, what it shows, and whose models know such things."""

    file: str
    name: str
    dataset: str

    def picture(self) -> Image.Image:
        """The picture: gray or in colour, as its dataset's are."""
        with Image.open(_PICTURES / self.file) as image:
            return image.copy()


EXAMPLES = (
    Example("trousers.png", "trousers", "fashion-mnist"),
    Example("t_shirt.png", "T-shirt", "fashion-mnist"),
    Example("bag.png", "bag", "fashion-mnist"),
    Example("ship.png", "ship", "cifar10"),
    Example("aeroplane.png", "aeroplane", "cifar10"),
)
