"""What a visitor gave, as an image file."""

import base64
import binascii
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

_DRAWING = re.compile(r"(data:image/png;revision=\d{1,9};base64),([A-Za-z0-9+/=]+)")


def drawn_file(drawing: Any) -> bytes | None:
    """What was drawn on the pad, a PNG: dark strokes on nothing. None for an untouched pad.

    Args:
        drawing: the pad's value, a data URL; other text is a pad that has been cleared.
    """
    found = _DRAWING.fullmatch(drawing) if isinstance(drawing, str) else None
    try:
        return None if found is None else base64.b64decode(found[2], validate=True)
    except binascii.Error:
        return None


def chosen_file(picture: Any) -> Path | None:
    """The picture that a visitor chose; None for none.

    Args:
        picture: Gradio's reference to a file, which was checked when it arrived.
    """
    return Path(picture["path"]) if isinstance(picture, Mapping) else None


def drawing_key(drawing: Any) -> str:
    """What names a drawing in its answers, as page.js does."""
    return _key(drawing.split(",")[0] if isinstance(drawing, str) else "")


def picture_key(picture: Any, dataset: Any) -> str:
    """What names a picture and a dataset in their answers, as page.js does."""
    file = chosen_file(picture)
    return _key("" if file is None else file.parent.name, str(dataset))


def _key(*values: str) -> str:
    return "~".join(quote(value, safe="!~*'()") for value in values)
