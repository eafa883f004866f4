"""Image containers: size, orientation, and the file without its metadata.

Decoders read metadata that nobody asked for (EXIF, ICC profiles, text, further frames), stumble over it, or let it take
memory and time out of all proportion to the picture. So it is taken out first, in time linear in the file's length.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from vision_zoo.core.errors import ImageError
from vision_zoo.images import tiff
from vision_zoo.images.samples import Samples

MAX_SCANS = 100
"""A progressive JPEG has about ten; every further one costs as much time as all the pixels."""

_MAX_SEGMENTS = 4096
_MAX_TEXT = 2**20
_MAX_NETPBM_HEADER = 4096
_NETPBM = re.compile(rb"P(?:[1-6fF]|0CMYK|yP|yRGBA|yCMYK)\s")
_COMMENT = re.compile(rb"#[^\r\n]*")
_GIF_BLOCK = re.compile(rb"[!,;]")
_NO_SIZE = (0, 0)
_ORIENTATION_IN_XMP = re.compile(rb"tiff:Orientation(?:=[\"']|>)([1-8])")
# The last of the bytes that fill up to a marker is its first: a pattern of all would take quadratic time to find none.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset(range(0xD0, 0xD8)) | {0x01}
_JFIF, _EXIF, _ADOBE = 0xE0, 0xE1, 0xEE


@dataclass(frozen=True, kw_only=True)
class Container:
    """A file as the decoder gets it.

    `size` is (width, height) where the header has it, (0, 0) otherwise; `orientation` is EXIF's, 1 to 8; `scans` is the
    number in a JPEG; `samples` describes those of a TIFF or a PNG of 16 bits.
    """

    content: bytes
    size: tuple[int, int] = _NO_SIZE
    orientation: int = 1
    scans: int = 1
    samples: Samples | None = None


def read_container(content: bytes) -> Container:
    """Find what the decoder needs of a file; one of an unknown kind comes back as it is.

    Raises ImageError if the file is built to cost far more than its pixels.
    """
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(content)
    if content.startswith(b"\xff\xd8\xff"):
        return _jpeg(content)
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return Container(content=content, size=_webp_size(content))
    if content.startswith(tiff.SIGNATURES):
        plain = tiff.without_metadata(content)
        return Container(
            content=plain.content, size=plain.size, orientation=plain.orientation, samples=plain.samples
        )
    if content[4:8] == b"ftyp":
        return Container(content=_avif_without_exif(content))
    if _NETPBM.match(content):
        return Container(content=_netpbm_without_comments(content))
    if content.startswith((b"GIF87a", b"GIF89a")):
        return Container(content=_gif_without_extensions(content))
    return Container(content=content)


def exif_orientation(exif: bytes) -> int:
    """The orientation that EXIF data tells, 1 to 8; 1 where it cannot be read."""
    found = exif.find(b"Exif\0\0")
    start = found + 6 if 0 <= found < 16 else 0
    data = exif[start:]
    return tiff.orientation(data) if data.startswith(tiff.SIGNATURES) else 1


def xmp_orientation(xmp: bytes) -> int:
    """The orientation that XMP data tells, 1 to 8; 1 where there is none."""
    found = _ORIENTATION_IN_XMP.search(xmp)
    return int(found.group(1)) if found else 1


def _png(content: bytes) -> Container:
    kept: list[memoryview] = []
    view = memoryview(content)
    size = struct.unpack_from(">II", content, 16) if len(content) >= 24 else _NO_SIZE
    exif, xmp = 1, 1
    position, chunks = 8, 0
    begin = 0
    while position + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        end = position + 12 + length
        chunks += 1
        if chunks > _MAX_SEGMENTS + len(content) // 1024:
            raise ImageError("the PNG file has too many parts; save the image again")
        if kind[0] & 0x20 and kind != b"tRNS":
            kept.append(view[begin:position])
            begin = min(end, len(content))
            data = content[position + 8 : end - 4] if kind in (b"eXIf", b"iTXt", b"zTXt", b"tEXt") else b""
            if kind == b"eXIf":
                exif = max(exif, exif_orientation(data))
            elif data.startswith(b"XML:com.adobe.xmp\0"):
                xmp = max(xmp, xmp_orientation(data))
            elif data.startswith(b"Raw profile type exif\0"):
                exif = max(exif, _raw_profile_orientation(kind, data))
        position = end
        if kind == b"IEND":
            break
    if kept:
        content = b"".join([*kept, view[begin : min(position, len(content))]])
    samples = Samples("unsigned", 16) if content[24:25] == b"\x10" else None
    turned = exif if exif > 1 else xmp
    return Container(content=content, size=(size[0], size[1]), orientation=turned, samples=samples)


def _raw_profile_orientation(kind: bytes, data: bytes) -> int:
    # ImageMagick's: EXIF as hexadecimal digits, after a line with the name and one with the length
    text = data.partition(b"\0")[2]
    try:
        if kind == b"zTXt":
            text = zlib.decompressobj().decompress(text[1:], _MAX_TEXT)
        return exif_orientation(bytes.fromhex("".join(text.decode("ascii").split("\n")[3:])))
    except (zlib.error, ValueError):
        return 1


def _jpeg(content: bytes) -> Container:
    kept = [b"\xff\xd8"]
    size, orientation, exif = _NO_SIZE, 1, b""
    for marker, start, end in _segments(content):
        if marker == 0xDA:
            rest = content[start:]
            scans = _scans(rest)
            if scans > MAX_SCANS:
                raise ImageError(
                    f"the JPEG file has more than {MAX_SCANS} scans; expected an ordinary JPEG: save the image again"
                )
            kept.append(rest)
            break
        body = content[start + 4 : end]
        if marker == _EXIF:
            if body.startswith(b"Exif\0\0"):
                exif += body[6:] if exif else body
            elif orientation == 1:
                orientation = xmp_orientation(body)
        elif marker < _JFIF or marker in (_JFIF, _ADOBE):
            kept.append(content[start:end])
        if marker in _START_OF_FRAME and len(body) >= 5:
            height, width = struct.unpack_from(">HH", body, 1)
            size = (width, height)
    else:
        scans = 0
    turned = exif_orientation(exif)
    return Container(
        content=b"".join(kept), size=size, orientation=turned if turned > 1 else orientation, scans=scans
    )


def _segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of a JPEG's segments, to the first scan's."""
    position = 2
    for _ in range(_MAX_SEGMENTS):
        found = _NEXT_MARKER.search(content, position)
        if found is None:
            return
        start, marker = found.end() - 2, content[found.end() - 1]
        if marker == 0xD9 or found.end() + 2 > len(content):
            return
        if marker in _WITHOUT_LENGTH or marker == 0xD8:
            position = found.end()
            continue
        (length,) = struct.unpack_from(">H", content, found.end())
        position = min(found.end() + max(length, 2), len(content))
        yield marker, start, position
        if marker == 0xDA:
            return
    raise ImageError("the JPEG file has too many parts; save the image again")


def _scans(content: bytes) -> int:
    """How many scans there are from the first one on."""
    # The marker cannot stand in a scan's data, but in what comes between scans and after the picture's end.
    scans = content.count(b"\xff\xda")
    if scans <= MAX_SCANS:
        return scans
    scans = position = 0
    while scans <= MAX_SCANS:
        found = _NEXT_MARKER.search(content, position)
        if found is None or content[found.end() - 1] == 0xD9 or found.end() + 2 > len(content):
            break
        marker, position = content[found.end() - 1], found.end()
        scans += marker == 0xDA
        if marker not in _WITHOUT_LENGTH:
            position += max(struct.unpack_from(">H", content, position)[0], 2)
    return scans


def _webp_size(content: bytes) -> tuple[int, int]:
    kind, body = content[12:16], content[20:30]
    if len(body) < 10:
        return _NO_SIZE
    if kind == b"VP8X":
        return (1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little"))
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    width, height = struct.unpack_from("<HH", body, 6)
    return (width & 0x3FFF, height & 0x3FFF)


def _avif_without_exif(content: bytes) -> bytes:
    # The orientation that counts is a property of the picture, and Pillow's reader of EXIF stumbles over broken data:
    # let it find no tags.
    for header in (b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"):
        content = content.replace(header, header[:4] + b"\xff\xff\xff\xff")
    return content


def _netpbm_without_comments(content: bytes) -> bytes:
    """Pillow reads the header byte by byte, and of the numbers that are text it copies what follows each comment."""
    is_text = content[1:2] in b"123"
    head = _COMMENT.sub(b"", content[:_MAX_NETPBM_HEADER])
    if len(head.split(None, 4)) < (3 if content[1:2] in b"14" else 4):
        raise ImageError("the PPM file does not state its image size; save the image again")
    if not is_text:
        return content
    if content.count(b"#") > _MAX_SEGMENTS:
        raise ImageError("the PPM file has too many comments; save the image again")
    return _COMMENT.sub(b"", content)


def _gif_without_extensions(content: bytes) -> bytes:
    """Of what precedes the first picture only its transparency is kept: Pillow joins comments to one long text."""
    flags = content[10] if len(content) > 10 else 0
    start = position = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    control = b""
    blocks = 0
    while (found := _GIF_BLOCK.search(content, position)) and found.group() == b"!":
        begin = found.start()
        position = begin + 2
        while size := int.from_bytes(content[position : position + 1], "little"):
            position += 1 + size
            blocks += 1
        position += 1
        blocks += 1
        if blocks > _MAX_SEGMENTS + len(content) // 32:
            raise ImageError("the GIF file has too many parts; save the image again")
        if content[begin + 1 : begin + 2] == b"\xf9":
            control = content[begin:position]
    return content[:start] + control + (content[found.start() :] if found else b"")
