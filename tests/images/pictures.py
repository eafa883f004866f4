"""Pictures that a classifier can learn within seconds, and pictures in every format."""

import contextlib
import io
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vision_zoo.core.errors import ImageError
from vision_zoo.data.dataset import Split
from vision_zoo.images.decode import open_image, probe_image


def striped_picture(path: Path, label: int, seed: int, mode: str = "RGB", *, side: int = 24) -> None:
    """Stripes whose direction is the class, under noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(seed)
    row, column = np.mgrid[0:side, 0:side]
    along = (row, column, row + column, row - column)[label % 4]
    pixels = 128 + 90 * np.sin(along * (0.6 + 0.15 * (label // 4)) + chance.uniform(0, 6.28))
    pixels = pixels[..., None] + chance.normal(0, 25, (side, side, 3))
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).convert(mode).save(path)


def encoded_pictures() -> dict[str, bytes]:
    """A small picture in every format that is read, and in the less usual variants of some."""
    side = np.arange(40)
    gray = Image.fromarray((side[:, None] * 3 + side * 2).astype(np.uint8))
    colour = Image.merge("RGB", (gray, gray.transpose(Image.Transpose.FLIP_TOP_BOTTOM), gray))
    deep = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description that is longer than four bytes"
    variants: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
        "png": (colour, "PNG", {"exif": exif}),
        "png-16": (deep, "PNG", {}),
        "png-palette": (colour.quantize(16), "PNG", {"transparency": 3}),
        "jpeg": (colour, "JPEG", {"exif": exif}),
        "jpeg-progressive": (colour, "JPEG", {"progressive": True}),
        "jpeg-cmyk": (colour.convert("CMYK"), "JPEG", {}),
        "webp": (colour, "WEBP", {"exif": exif}),
        "webp-animated": (colour, "WEBP", {"save_all": True, "append_images": [colour.rotate(90)]}),
        "bmp": (colour, "BMP", {}),
        "gif": (colour, "GIF", {"save_all": True, "append_images": [colour.rotate(90)]}),
        "tiff": (colour, "TIFF", {}),
        "tiff-16": (deep, "TIFF", {"compression": "tiff_lzw"}),
        "tiff-float": (Image.fromarray(np.asarray(gray, dtype=np.float32) / 255), "TIFF", {}),
        "tiff-jpeg": (colour, "TIFF", {"compression": "jpeg"}),
        "pgm": (gray, "PPM", {}),
        "ppm": (colour, "PPM", {}),
        "avif": (colour, "AVIF", {"exif": exif}),
    }
    contents = {}
    for name, (image, form, options) in variants.items():
        buffer = io.BytesIO()
        image.save(buffer, format=form, **options)
        contents[name] = buffer.getvalue()
    return contents


def mutated(content: bytes, chance: random.Random) -> bytes:
    """The same with some bytes changed, taken out or put in, more often where the headers are."""
    body = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        place = min(int(len(body) * chance.random() ** chance.choice((1, 3, 6))), max(len(body) - 1, 0))
        match chance.randrange(5):
            case 0:
                body[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                body[place : place + 4] = chance.choice(
                    (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1")
                )
            case 2:
                del body[place : place + chance.randrange(1, 20)]
            case 3:
                body[place:place] = body[place : place + chance.randrange(1, 40)]
            case _:
                body[place : place + 2] = chance.choice(
                    (b"\xff\xda", b"\xff\xe1", b"\0\x08", b"\x12\x01", b"\0\0")
                )
    return bytes(body)


def decoded_or_refused(content: bytes) -> Image.Image | None:
    """The picture; None if it is refused. Anything else that the decoder raises is raised."""
    with contextlib.suppress(ImageError):
        probe_image(content, max_pixels=1_000_000)
    with contextlib.suppress(ImageError):
        return open_image(content, max_pixels=1_000_000)
    return None


GRAY = np.add.outer(np.arange(0, 200, 5), np.arange(0, 56)).astype(np.uint8)


def tiff(pixels: np.ndarray, **tags: Any) -> bytes:
    """A little-endian TIFF file of one strip; tags by number, as (type, value) or whole numbers of 16 bits."""
    height, width = pixels.shape[:2]
    layouts = {3: "H", 4: "L", 11: "f"}
    values: dict[int, tuple[int, float]] = {
        256: (4, width),
        257: (4, height),
        258: (3, pixels.itemsize * 8),
        259: (3, 1),
        262: (3, 1),
        273: (4, 8),
        277: (3, 1),
        278: (4, height),
        279: (4, pixels.nbytes),
        339: (3, {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]),
    }
    for name, value in tags.items():
        values[int(name.removeprefix("t"))] = value if isinstance(value, tuple) else (3, value)
    entries = b"".join(
        struct.pack("<HHL", tag, kind, 1) + struct.pack(f"<{layouts[kind]}", value).ljust(4, b"\0")
        for tag, (kind, value) in sorted(values.items())
    )
    directory = struct.pack("<H", len(values)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<L", 8 + pixels.nbytes) + pixels.tobytes() + directory


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=form, **options)
    return buffer.getvalue()


def write_class_folders(path: Path, images: Split) -> str:
    """Write the images as files in class folders; the folder as a dataset's name."""
    for index, (image, label) in enumerate(zip(images.images, images.labels, strict=True)):
        (path / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.squeeze()).save(path / str(label) / f"{index}.png")
    return f"folder:{path}"
