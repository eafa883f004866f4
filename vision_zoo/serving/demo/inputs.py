"""Input of a visitor as an image file."""

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vision_zoo.core.errors import ImageError

_DRAWING = re.compile(r"data:image/png;revision=\d{1,9};base64,")


@dataclass(frozen=True)
class Drawn:
    """What was drawn on the pad, in base64: a PNG, dark strokes on nothing."""

    base64: str

    def read_bytes(self) -> bytes:
        try:
            return binascii.a2b_base64(self.base64, strict_mode=True)
        except ValueError as error:
            raise ImageError("the drawing is damaged; draw again") from error


@dataclass(frozen=True)
class Chosen:
    """A file that a visitor chose."""

    path: Path

    def read_bytes(self) -> bytes:
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise ImageError("this picture is no longer available; choose it again") from error


Picture = Drawn | Chosen
"""An image file that is not read yet: reading it is for the threads that decode, not for the event loop."""


def drawn_file(drawing: Any) -> Drawn | None:
    """The drawing on the pad, whose value is a data URL; None for an untouched or cleared pad."""
    found = _DRAWING.match(drawing) if isinstance(drawing, str) else None
    return None if found is None else Drawn(drawing[found.end() :])


def chosen_file(picture: Any) -> Chosen | None:
    """The picture of Gradio's file reference, which was checked on arrival; None for none."""
    return Chosen(Path(picture["path"])) if isinstance(picture, Mapping) else None


def drawing_key(drawing: Any) -> str:
    """What names a drawing in its answers, as page.js does."""
    return _key(drawing.partition(",")[0] if isinstance(drawing, str) else "")


def picture_key(picture: Any, dataset: Any) -> str:
    """What names a picture and a dataset in their answers, as page.js does."""
    file = chosen_file(picture)
    return _key("" if file is None else file.path.parent.name, str(dataset))


def _key(*values: str) -> str:
    return "~".join(quote(value, safe="!~*'()") for value in values)
