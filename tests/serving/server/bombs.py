"""Files that cost far more to decode than to send."""

import contextlib
import functools
import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from tests.serving.server.conftest import Server


@functools.cache
def webp(side: int) -> bytes:
    """A transparent, lossless square: 2.5 KB for 8000 x 8000."""
    buffer = io.BytesIO()
    Image.new("RGBA", (side, side), (0, 0, 0, 0)).save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


@functools.cache
def png(side: int) -> bytes:
    """A white square."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), "white").save(buffer, "PNG")
    return buffer.getvalue()


def png_header(side: int) -> bytes:
    """A PNG that says how large it is, and has next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10_000)))
        + chunk(b"IEND", b"")
    )


def scans(repeats: int, side: int = 64) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    buffer = io.BytesIO()
    pixels = np.tile(np.arange(side, dtype=np.uint8), (side, 1))
    Image.fromarray(pixels).save(buffer, "JPEG", progressive=True)
    content = buffer.getvalue()
    scan = content[content.rfind(b"\xff\xda") : -2]
    return content[:-2] + scan * repeats + b"\xff\xd9"


def form(files: list[bytes]) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of a form of several files."""
    parts = [
        b'--limit\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n' + file + b"\r\n"
        for file in files
    ]
    return b"".join(parts) + b"--limit--\r\n", {"Content-Type": "multipart/form-data; boundary=limit"}


def endless() -> tuple[bytes, dict[str, str]]:
    """A request within all limits that takes minutes."""
    return form([webp(4000)] * 250)


def children(server: Server) -> set[int]:
    """The processes that a server has started and that live."""
    found: set[int] = set()
    for task in Path(f"/proc/{server.process.pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has just ended
            found |= {int(number) for number in (task / "children").read_text().split()}
    return {number for number in found if is_alive(number)}


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return False


def resident_mib(server: Server) -> float:
    """Of the server and what it has started."""
    pages = 0
    for process in (server.process.pid, *children(server)):
        try:
            pages += int(Path(f"/proc/{process}/statm").read_text().split()[1])
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
