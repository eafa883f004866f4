"""Pictures that people save with the right label: a folder with a sub-folder for each class, as training takes it."""

import hashlib
import io
import logging
import os
import re
import threading
import unicodedata
from collections.abc import Collection as Labels
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from vision_zoo.core import atomic
from vision_zoo.core.errors import ImageError, StorageError, UsageError
from vision_zoo.data.scan import SPLIT_NAMES, is_ignored
from vision_zoo.images.decode import open_image, probe_image

_LOG = logging.getLogger("vision_zoo.server")

MAX_PICTURES = 10_000
MAX_BYTES = 2**30
MAX_PICTURE_BYTES = 32 * 2**20
_MAX_WEBP_PIXELS = 2**20
"""WebP's decoder keeps the interpreter's lock: nothing else runs meanwhile."""

_LONGEST_NAME = 200
"""Bytes of a folder's name; most file systems take 255."""

_UNSAFE = re.compile(r'[<>:"/\\|?*]')
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


@dataclass(frozen=True)
class Saved:
    """Where a picture is; `new` is False if it was there already."""

    path: Path
    new: bool


class Collection:
    """A folder to save pictures in, `<label>/<hash of the pixels>.png`. Safe for several threads.

    The limits are of all files in the folder, those of others too.

    Raises:
        StorageError: `folder` cannot be made or written.
    """

    def __init__(self, folder: Path, *, max_pictures: int = MAX_PICTURES, max_bytes: int = MAX_BYTES) -> None:
        atomic.make_folder(folder)
        self.folder = folder.resolve()
        self._max_pictures = max_pictures
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise StorageError(f"cannot write {folder}: no permission to write there; choose another folder")

    def save(self, content: bytes, label: str, labels: Labels[str], *, max_pixels: int) -> Saved:
        """Save an image file's picture, upright and without its metadata, under one of `labels`.

        A picture that is there already is neither written again nor replaced.

        Raises:
            UsageError: `label` is not one of `labels`, cannot be the name of a folder, or is not the label that the
                picture was saved with before.
            ImageError: no picture, one that takes long to decode, or one that is too large.
            StorageError: the folder is full, has something else in the way, or cannot be written.
        """
        name = class_folder(label, labels)
        png, digest = _as_png(content, max_pixels)
        path = self.folder / name / f"{digest}.png"
        with self._lock:
            _require_no_link(path)
            others, files, size = self._found(path.name)
            if path in others:
                return Saved(path, new=False)
            if others:
                place = others[0].relative_to(self.folder)
                raise UsageError(
                    f"this picture was saved as {place.parent} before; move {place} on the server instead"
                )
            if files >= self._max_pictures or size + len(png) > self._max_bytes:
                raise StorageError(
                    f"the folder for pictures is full ({files:,} files, {size / 2**20:,.0f} MiB); nothing was saved"
                )
            try:
                atomic.write_bytes(path, png)
            except StorageError as error:
                _LOG.warning("%s", error)  # visitors are not told where the folder is
                raise StorageError(
                    "the picture could not be written on the server; its log says why"
                ) from error
        return Saved(path, new=True)

    def _found(self, name: str) -> tuple[list[Path], int, int]:
        """Where files of that name are, the number of all files, and their bytes. Links are not followed."""
        same, files, size = [], 0, 0
        for folder, _, names in os.walk(self.folder):
            for each in names:
                path = Path(folder, each)
                files += 1
                size += path.lstat().st_size
                if each == name:
                    same.append(path)
        return same, files, size


def class_folder(label: str, labels: Labels[str]) -> str:
    """The name of the folder for `label`, one of `labels`: the label, with _ for what names of files cannot have.

    Raises:
        UsageError: no such label, or none that can be the name of a folder.
    """
    if label not in labels:
        raise UsageError(f"{label!r:.80} is not a label of these models; choose one of theirs")
    name = _plain(label)
    if (
        not name
        or is_ignored(name)
        or name.lower() in SPLIT_NAMES
        or _RESERVED.fullmatch(name)
        or len(name.encode()) > _LONGEST_NAME
        or any(other != label and _plain(other).casefold() == name.casefold() for other in labels)
    ):
        raise UsageError(
            f"pictures of {label!r:.80} cannot be saved: the label cannot be the name of a folder"
        )
    return name


def _plain(label: str) -> str:
    letters = (
        "_" if _UNSAFE.match(letter) or unicodedata.category(letter)[0] == "C" else letter
        for letter in unicodedata.normalize("NFC", label)
    )
    return "".join(letters).strip(" .")


def _require_no_link(path: Path) -> None:
    folder = path.parent
    if folder.is_symlink() or path.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise StorageError(
            f"{folder.name} is no plain folder of pictures, or has a link to one; remove the link"
        )


def _as_png(content: bytes, max_pixels: int) -> tuple[bytes, str]:
    """The picture as PNG in the fewest channels that hold it, and the hash of its pixels."""
    header = probe_image(content, max_pixels=max_pixels)
    if not header.ordinary or (header.format == "WEBP" and header.pixels > _MAX_WEBP_PIXELS):
        raise ImageError("this kind of picture cannot be saved; expected PNG, JPEG, BMP, GIF or a small WebP")
    picture = _in_fewest_channels(open_image(content, max_pixels=max_pixels))
    pixels = np.asarray(picture)
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=4)
    png = file.getvalue()
    if len(png) > MAX_PICTURE_BYTES:
        raise ImageError(
            f"the picture has more than {MAX_PICTURE_BYTES // 2**20} MiB as PNG; make it smaller"
        )
    described = f"{picture.mode} {picture.width} {picture.height} ".encode()
    return png, hashlib.sha256(described + pixels.tobytes()).hexdigest()[:32]


def _in_fewest_channels(image: Image.Image) -> Image.Image:
    """As L, LA, RGB or RGBA, the first that loses nothing, and without anything but pixels."""
    if image.mode in ("La", "RGBa"):
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
    pixels = np.asarray(image.convert("RGBA"))
    gray = bool((pixels[..., :1] == pixels[..., 1:3]).all())
    opaque = bool((pixels[..., 3] == 255).all())
    channels = [0] if gray else [0, 1, 2]
    return Image.fromarray(
        np.ascontiguousarray(pixels[..., channels if opaque else [*channels, 3]].squeeze())
    )
