"""Decode image files to model input, in the server or in decoder processes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision_zoo.core.errors import ImageError
from vision_zoo.images.preprocess import ImageHeader, InputFormat, open_image, prepare, probe_image

Decoded = NDArray[np.uint8] | ImageError
"""uint8 `[height, width, channels]`, or why there is none."""

_SMALL_PIXELS = 2**20
_SMALL_WEBP_PIXELS = 2**16
"""Less, since WebP's decoder keeps the interpreter's lock: nothing else runs in the process meanwhile."""


@dataclass(frozen=True)
class Probed:
    """Files whose headers have been read; those that cannot be used are ImageErrors already."""

    files: list[bytes | ImageError]
    headers: list[ImageHeader]

    @property
    def pixels(self) -> int:
        """Of all files together."""
        return sum(header.pixels for header in self.headers)

    @property
    def are_small(self) -> bool:
        """Whether decoding takes milliseconds and a few MiB, whatever is in the files: no process of its own."""
        return self.pixels <= _SMALL_PIXELS and all(
            header.ordinary and (header.format != "WEBP" or header.pixels <= _SMALL_WEBP_PIXELS)
            for header in self.headers
        )


def probe_files(files: Sequence[bytes | ImageError], *, max_pixels: int) -> Probed:
    """Read the files' headers."""
    probed: list[bytes | ImageError] = []
    headers: list[ImageHeader] = []
    for file in files:
        try:
            if isinstance(file, bytes):
                headers.append(probe_image(file, max_pixels=max_pixels))
            probed.append(file)
        except ImageError as error:
            probed.append(error)
    return Probed(probed, headers)


def decode_files(
    files: Sequence[bytes | ImageError], target: InputFormat, *, max_pixels: int
) -> list[Decoded]:
    """Decode and prepare each file; one that cannot be used is an ImageError in its place."""
    return [file if isinstance(file, ImageError) else _decode(file, target, max_pixels) for file in files]


def _decode(content: bytes, target: InputFormat, max_pixels: int) -> Decoded:
    try:
        return prepare(open_image(content, max_pixels=max_pixels), target)
    except ImageError as error:
        return error.without_frames()
    except MemoryError:
        return ImageError("the image needs more memory than available; make it smaller")
