"""Decode an image file to upright pixels of at most 8 bits per sample. Needs numpy and Pillow only."""

import ctypes
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image, UnidentifiedImageError, _imaging

from vision_zoo.core.errors import ImageError
from vision_zoo.core.threads import without_warnings
from vision_zoo.images.containers import Container, exif_orientation, read_container, xmp_orientation
from vision_zoo.images.samples import Samples, eight_bits

DECODABLE_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")
MAX_PIXELS = 64_000_000
"""Images above this are refused before they are decoded: a few KiB of PNG can hold gigabytes of pixels."""

MAX_SIDE = 2**16 - 1
"""What JPEG allows, in pixels."""

MAX_BYTES = 256 * 2**20

_ORDINARY_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
_ORDINARY_SCANS = 20
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, kw_only=True)
class ImageHeader:
    """The header of an image file.

    `format` and `mode` are Pillow's names ("JPEG", "RGB"). `width` and `height` are in pixels as stored, before the
    picture is turned upright. `ordinary`: decoding takes time and memory by the number of pixels alone; other files
    (TIFF, PPM, AVIF, a JPEG of many scans) may take far more.
    """

    format: str
    width: int
    height: int
    mode: str
    ordinary: bool

    @property
    def pixels(self) -> int:
        return self.width * self.height


def probe_image(content: bytes, *, max_pixels: int = MAX_PIXELS) -> ImageHeader:
    """Read the header of an image file's bytes; no pixel is decoded. Takes time linear in their number.

    Raises:
        ImageError: not an image, damaged, of another format, built to be costly, or above `max_pixels`.
    """
    with _refusing("the image", max_pixels):
        container = read_container(content)
        with _opened(container, max_pixels) as image:
            return ImageHeader(
                format=str(image.format),
                width=image.width,
                height=image.height,
                mode=image.mode,
                ordinary=image.format in _ORDINARY_FORMATS and container.scans <= _ORDINARY_SCANS,
            )


def open_image(source: Path | str | bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode an image file (or its bytes), turned upright by its EXIF orientation; of several pictures the first.

    The format is found by content, whatever the name. Samples of more than 8 bits are brought to 8, see
    `samples.eight_bits`.

    Raises:
        ImageError: not a file, not an image, damaged, of another format, with samples of an unknown range, built to be
            costly, or above `max_pixels`.
    """
    name = "the image" if isinstance(source, bytes) else str(source)
    try:
        content = source if isinstance(source, bytes) else _read(Path(source))
    except OSError as error:
        raise ImageError(f"cannot read {name}: {error.strerror}; expected an image file") from error
    except ValueError as error:  # a zero byte in the name
        raise ImageError(f"{name!r} is not a valid file name; expected an image file") from error
    with _refusing(name, max_pixels):
        container = read_container(content)
        with _opened(container, max_pixels) as image:
            image.load()
            samples = container.samples
            if image.format == "PPM" and image.mode == "I":
                # Scaled by the largest value that the file tells.
                samples = Samples("unsigned", 16, (0, 65535))
            elif image.format == "PPM" and image.mode == "F":
                samples = Samples("float", 32)
            return _upright(eight_bits(_plain(image), samples), image, container)


def _read(path: Path) -> bytes:
    # A pipe or a device may never end.
    if not path.is_file():
        kind = "is not a file" if path.exists() else "does not exist"
        raise ImageError(f"{path} {kind}; expected an image file")
    if path.stat().st_size > MAX_BYTES:
        raise ImageError(f"{path} has more than {MAX_BYTES // 2**20} MiB; expected a smaller image file")
    return path.read_bytes()


@contextmanager
def _opened(container: Container, max_pixels: int) -> Iterator[Image.Image]:
    # Some decoders make room for the picture as soon as they are opened.
    _require_few_pixels(container.size, max_pixels)
    _silence_decoders()
    with (
        without_warnings(),
        Image.open(io.BytesIO(container.content), formats=DECODABLE_FORMATS) as image,
    ):
        _require_few_pixels(image.size, max_pixels)
        yield image


@cache
def _silence_decoders() -> None:
    """What is wrong with a file stands in the `ImageError`, not in lines of Pillow's and libtiff's own on stderr."""
    logger = logging.getLogger("PIL")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        decoders = ctypes.CDLL(_imaging.__file__)
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            set_handler = getattr(decoders, name)
            set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            set_handler(None)
    except (OSError, AttributeError):  # Pillow was built in another way: a line on stderr harms nobody
        pass


def _require_few_pixels(size: tuple[int, int], max_pixels: int) -> None:
    if max(size) > MAX_SIDE:  # every row costs memory of its own, however short it is
        raise ImageError(f"a side has {max(size):,} pixels, more than {MAX_SIDE:,}; expected a smaller image")
    if size[0] * size[1] > max_pixels:
        raise Image.DecompressionBombError(f"{size[0]} x {size[1]}")


@contextmanager
def _refusing(name: str, max_pixels: int) -> Iterator[None]:
    """Convert every exception of a decoder to an `ImageError`."""
    try:
        yield
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error
    except Image.DecompressionBombError as error:
        most = f"{max_pixels / 1e6:g} million" if max_pixels >= 100_000 else str(max_pixels)
        raise ImageError(f"{name} has more than {most} pixels; make it smaller") from error
    except UnidentifiedImageError as error:
        expected = ", ".join(DECODABLE_FORMATS)
        raise ImageError(f"{name} is not a readable image; expected one of {expected}") from error
    except MemoryError as error:
        raise ImageError(f"{name} needs more memory than available; make it smaller") from error
    except Exception as error:  # damaged files reach every line of the decoders
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ImageError(f"{name} is a damaged image ({reason}); save or download it again") from error


def _plain(image: Image.Image) -> Image.Image:
    """The same pixels, not copied, without the file and the decoder that they came from."""
    plain = image._new(image.im)
    plain.info = {key: value for key, value in image.info.items() if key == "transparency"}
    return plain


def upright(image: Image.Image) -> Image.Image:
    """A decoded picture as it is meant to be seen, turned by the orientation that its file told Pillow."""
    return _turned(image, _orientation(image))


def _upright(pixels: Image.Image, image: Image.Image, container: Container) -> Image.Image:
    return _turned(pixels, container.orientation if container.orientation != 1 else _orientation(image))


def _turned(pixels: Image.Image, orientation: int) -> Image.Image:
    method = _UPRIGHT.get(orientation)
    return pixels if method is None else pixels.transpose(method)


def _orientation(image: Image.Image) -> int:
    orientation = 1
    for key, read in (("exif", exif_orientation), ("xmp", xmp_orientation)):
        told = image.info.get(key)
        if orientation == 1 and isinstance(told, bytes):
            orientation = read(told)
    return orientation
