"""Parse TIFF tags of untrusted files, and reduce them to those of the first image.

EXIF data are such a directory as well. See the TIFF 6.0 specification, sections 2 and 8 to 22.
"""

import math
import struct
from dataclasses import dataclass
from typing import Literal

from vision_zoo.core.errors import ImageError
from vision_zoo.images.samples import Samples

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"MM*\0", b"II\0*")

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLES = 256, 257, 258, 262, 274, 277
_ROWS_PER_STRIP, _PLANAR, _TILE_WIDTH, _TILE_HEIGHT, _FORMAT = 278, 284, 322, 323, 339
_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES = 273, 279, 324, 325
_MOST, _LEAST_SAMPLE, _MOST_SAMPLE = 281, 340, 341
_KEPT = frozenset(
    {_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _STRIPS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_BYTES, _PLANAR}
    | {_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES, _FORMAT}
    | {259, 266, 292, 293, 317, 320, 332, 338, 347, 529, 530, 532}
    | set(range(512, 522))  # JPEG as TIFF 6.0 had it
)
_TYPES = {1: "B", 2: "B", 3: "H", 4: "L", 5: "LL", 6: "b", 7: "B", 8: "h", 9: "l", 10: "ll", 11: "f", 12: "d"}
_TYPES |= {13: "L", 16: "Q", 17: "q", 18: "Q"}
_TEXT_TYPES = (2, 7)
_MOST_VALUES = 2**18
_LARGEST_TILE = 2**20


@dataclass(frozen=True)
class PlainTiff:
    """A TIFF file of one picture: `content` without the tags of anything else, its size in pixels, and its samples."""

    content: bytes
    size: tuple[int, int] = (0, 0)
    orientation: int = 1
    samples: Samples | None = None


@dataclass(frozen=True)
class _Entry:
    kind: int
    values: tuple[float, ...]
    raw: bytes


class _Directory:
    """The first directory of a file."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.order = "<" if content[:1] == b"I" else ">"
        self.big = b"+" in content[2:4]
        self.word = self.order + ("Q" if self.big else "L")
        self.count = self.order + ("Q" if self.big else "H")
        self.entry = self.order + ("HHQ8s" if self.big else "HHL4s")
        self.header = 8 if self.big else 4
        (start,) = struct.unpack_from(self.word, content, self.header)
        (count,) = struct.unpack_from(self.count, content, start)
        first = start + struct.calcsize(self.count)
        self.entries = content[first : first + min(count, 2**16) * struct.calcsize(self.entry)]

    def read(self, tags: frozenset[int]) -> dict[int, _Entry]:
        """The entries of these tags that can be read, each tag's first."""
        found: dict[int, _Entry] = {}
        whole = len(self.entries) // struct.calcsize(self.entry) * struct.calcsize(self.entry)
        for raw in struct.iter_unpack(self.entry, self.entries[:whole]):
            if raw[0] in tags and raw[0] not in found:
                values = self._values(*raw[1:])
                if values:
                    found[raw[0]] = _Entry(raw[1], values, struct.pack(self.entry, *raw))
        return found

    def _values(self, kind: int, count: int, inline: bytes) -> tuple[float, ...]:
        if kind not in _TYPES or not 0 < count <= _MOST_VALUES:
            return ()
        # "LL", a fraction, stands for its numerator and denominator.
        layout = f"{self.order}{count * len(_TYPES[kind])}{_TYPES[kind][0]}"
        size = struct.calcsize(layout)
        data = inline[:size]
        if size > len(inline):
            (position,) = struct.unpack(self.word, inline)
            data = self.content[position : position + size]
        return struct.unpack(layout, data) if len(data) == size else ()

    def replaced(self, entries: list[bytes]) -> bytes:
        """The file with these entries for a directory, and no further one."""
        padding = bytes(-len(self.content) % 8)
        place = struct.pack(self.word, len(self.content) + len(padding))
        rest = self.content[self.header + len(place) :]
        count = struct.pack(self.count, len(entries))
        return b"".join([self.content[: self.header], place, rest, padding, count, *entries, bytes(8)])


def orientation(content: bytes) -> int:
    """The orientation that a TIFF file or EXIF data tells, 1 to 8; 1 where it cannot be read."""
    try:
        entry = _Directory(content).read(frozenset({_ORIENTATION})).get(_ORIENTATION)
    except (struct.error, OverflowError):
        return 1
    if entry is None or entry.kind in _TEXT_TYPES or entry.values[0] not in range(1, 9):
        return 1
    return int(entry.values[0])


def without_metadata(content: bytes) -> PlainTiff:
    """The same file with only the tags that say where the first picture's pixels are and what they mean.

    Pixels of more than 8 bits in which white is zero are marked as if black were: whoever scales them inverts them.

    Raises ImageError if the tags tell of tiles or strips that the picture cannot have.
    """
    try:
        directory = _Directory(content)
        entries = directory.read(_KEPT | {_MOST, _LEAST_SAMPLE, _MOST_SAMPLE})
    except (struct.error, OverflowError):
        entries = {}
    if _WIDTH not in entries or _HEIGHT not in entries:
        raise ImageError("the TIFF file does not state its image size; save the image again")
    values = {tag: entry.values for tag, entry in entries.items()}
    size = (int(values[_WIDTH][0]), int(values[_HEIGHT][0]))
    _require_plausible_parts(values, *size)
    samples = _samples(values)
    kept = {tag: entry.raw for tag, entry in sorted(entries.items()) if tag in _KEPT}
    if _PHOTOMETRIC in kept and samples.white_is_zero and samples.bits > 8:
        black_is_zero = struct.pack(directory.order + "H", 1).ljust(8 if directory.big else 4, b"\0")
        kept[_PHOTOMETRIC] = struct.pack(directory.entry, _PHOTOMETRIC, 3, 1, black_is_zero)
    return PlainTiff(directory.replaced(list(kept.values())), size, orientation(content), samples)


def _require_plausible_parts(values: dict[int, tuple[float, ...]], width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise ImageError("the TIFF file has an image without pixels; save the image again")
    planes = values.get(_SAMPLES, (1,))[0] if values.get(_PLANAR, (1,))[0] == 2 else 1
    if _TILES in values and _STRIPS not in values:
        tile_width, tile_height = values.get(_TILE_WIDTH, (0,))[0], values.get(_TILE_HEIGHT, (0,))[0]
        if not 0 < tile_width * tile_height <= max(_LARGEST_TILE, 4 * width * height):
            raise ImageError(
                f"the TIFF file has tiles of {tile_width} x {tile_height} pixels; save the image again"
            )
        parts = -(-width // tile_width) * -(-height // tile_height)
    else:
        rows = min(values.get(_ROWS_PER_STRIP, (height,))[0], height)
        if rows < 1:
            raise ImageError("the TIFF file has strips of no rows; save the image again")
        parts = -(-height // rows)
    most = max(len(values.get(tag, ())) for tag in (_STRIPS, _TILES))
    if most > parts * planes:
        raise ImageError(f"the TIFF file has {most} parts for {parts * planes:.0f}; save the image again")


def _samples(values: dict[int, tuple[float, ...]]) -> Samples:
    kinds: dict[float, Literal["unsigned", "signed", "float"]] = {2: "signed", 3: "float"}
    kind = kinds.get(values.get(_FORMAT, (1,))[0], "unsigned")
    bits = int(values.get(_BITS, (1,))[0])
    return Samples(kind, bits, _range(values, kind, bits), values.get(_PHOTOMETRIC, (0,))[0] == 0)


def _range(values: dict[int, tuple[float, ...]], kind: str, bits: int) -> tuple[float, float] | None:
    """The samples that SMinSampleValue and SMaxSampleValue, or else MaxSampleValue and the bits per sample tell."""
    black, white = min(values.get(_LEAST_SAMPLE, (0,))), max(values.get(_MOST_SAMPLE, (0,)))
    if (
        _MOST_SAMPLE in values
        and (kind == "unsigned" or _LEAST_SAMPLE in values)
        and -math.inf < black < white < math.inf
    ):
        return (black, white)
    # MaxSampleValue is for statistics, unless it is what so many bits can hold.
    white = max(values.get(_MOST, (0,)))
    if kind == "unsigned" and white in {2**length - 1 for length in range(8, 17)}:
        return (0, white)
    return (0, 2**bits - 1) if kind == "unsigned" and bits < 16 else None
