"""What an image file may cost: time, memory, pixels, and words about its damage."""

import contextlib
import io
import os
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.images.pictures import GRAY, decoded_or_refused, saved, tiff
from vision_zoo.core.errors import ImageError
from vision_zoo.images.decode import open_image, probe_image

_SECONDS = 20
"""Of a processor, on a slow one: what must not happen takes minutes."""


def test_a_jpeg_of_very_many_scans_is_refused_at_once() -> None:
    content = saved(Image.fromarray(GRAY), "JPEG", progressive=True)
    assert decoded_or_refused(content) is not None
    last = content.rindex(b"\xff\xda")
    many = content[:last] + content[last:-2] * 100_000 + content[-2:]
    started = time.process_time()
    with pytest.raises(ImageError, match="scans"):
        open_image(many)
    assert time.process_time() - started < _SECONDS


def test_a_file_appended_to_a_jpeg_does_not_count() -> None:
    content = saved(Image.fromarray(GRAY), "JPEG")
    assert open_image(content + b"\xff\xda\0\4ab" * 5000).size == (56, 40)


def test_text_and_profiles_that_unfold_are_not_unfolded() -> None:
    bomb = zlib.compress(bytes(2**20), 9)
    content = saved(Image.fromarray(GRAY), "PNG")

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))

    extra = chunk(b"zTXt", b"a\0\0" + bomb) + chunk(b"iCCP", b"b\0\0" + bomb)
    started = time.process_time()
    assert open_image(content[:33] + extra * 1000 + content[33:]).size == (56, 40)
    opened = time.process_time()
    for _ in range(200):
        zlib.decompress(bomb)
    assert opened - started < 5 * (time.process_time() - opened)  # half of what unfolding all of them takes


def test_absurd_tiff_tags_cost_nothing() -> None:
    plain = tiff(GRAY)
    place = struct.unpack_from("<L", plain, 4)[0]
    kept = [plain[place + 2 + 12 * number : place + 14 + 12 * number] for number in range(10)]
    absurd = [struct.pack("<HHLL", 1000 + number, 1, len(plain), 0) for number in range(30_000)]
    content = plain[:place] + struct.pack("<H", 30_010) + b"".join(kept + absurd) + bytes(4)
    assert np.array_equal(np.asarray(open_image(content)), GRAY)


def test_more_parts_than_a_tiff_can_have_are_refused() -> None:
    with pytest.raises(ImageError, match="tiles of"):
        open_image(
            tiff(GRAY, t322=(4, 2**30), t323=(4, 2**30), t324=(4, 8)).replace(
                struct.pack("<H", 273), b"\x99\x99", 1
            )
        )


@pytest.mark.parametrize("largest", [100, 2_000_000])
def test_the_limit_on_pixels_can_be_set(largest: int) -> None:
    content = saved(Image.new("1", (1500, 1500)), "PNG")
    with pytest.raises(ImageError, match=r"more than (100|2 million) pixels"):
        open_image(content, max_pixels=largest)
    with pytest.raises(ImageError):
        probe_image(content, max_pixels=largest)


def _gif(before_picture: bytes) -> bytes:
    head = b"GIF89a\x01\0\x01\0\x80\0\0" + b"\0\0\0\xff\xff\xff"
    return head + before_picture + b",\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0;"


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xd8" + b"\xff" * 1_500_000,
        b"\xff\xd8\xff\xda\0\x02" + b"\xff\xda\0\x02" * 101 + b"\xff" * 1_500_000,
        b"\xff\xd8\xff\xda\0\x02" + b"\xff\xda\0\x02" * 99 + b"\xff" * 1_500_000 + b"\0\xff\xda",
        b"P5" + b" " * 15_000_000 + b"1 1 255\n0",
        b"P2 #" + b"x" * 15_000_000 + b"\n1 1 255\n0",
        b"P2 1 1 255\n" + b"#\n" * 5_000_000,
        b"Pf" + b"\n" * 15_000_000 + b"1 1 1\n",
        _gif(b"!\xfe\x01a\0" * 3_000_000),
        _gif(b"!\x01\0" * 5_000_000),
        _gif(b"\0" * 15_000_000),
    ],
    ids=[
        "fill",
        "scans",
        "fill-in-scan",
        "blanks",
        "comment",
        "comments",
        "lines",
        "gif-comments",
        "gif-empty",
        "gif-junk",
    ],
)
def test_the_time_is_bounded_by_the_file(content: bytes) -> None:
    # processor time: what others do on the machine does not count; each took minutes, or seconds for 64 KiB
    before = time.process_time()
    with contextlib.suppress(ImageError):
        open_image(content)
    assert time.process_time() - before < _SECONDS


def test_comments_and_extensions_do_not_change_the_picture() -> None:
    assert open_image(b"P2 #a 9 9\n2 1 #b\n255\n7 #c\n 9\n").tobytes() == bytes([7, 9])
    assert open_image(b"P5 #a 9 9\n2 1 #b\n255\n#\n").tobytes() == b"#\n"
    plain = open_image(_gif(b"")).tobytes()
    for before in (b"!\xfe\x01,\0", b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0", b"\0\0!\x01\0"):
        assert open_image(_gif(before)).tobytes() == plain
    transparent, files = Image.new("P", (4, 4), 1), [io.BytesIO(), io.BytesIO()]
    transparent.save(files[0], "GIF", transparency=1)
    transparent.save(files[1], "GIF", transparency=1, comment=b"a" * 600)
    first, second = (open_image(file.getvalue()) for file in files)
    assert (first.mode, first.tobytes()) == (second.mode, second.tobytes())


_MEASURE = """
import resource, sys
from vision_zoo.images.decode import open_image
from vision_zoo.images.preprocess import InputFormat, prepare
target = InputFormat(channels=int(sys.argv[2]), height=28, width=28, crop="none")
open_image("small.png")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
prepare(open_image(sys.argv[1]), target)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in KiB on Linux")
@pytest.mark.parametrize(
    ("mode", "form", "most"),
    [("RGBA", "PNG", 9), ("I;16", "TIFF", 9), ("CMYK", "JPEG", 9), ("P", "GIF", 9), ("RGBA", "WEBP", 18)],
)
def test_memory_is_bounded_by_the_pixels(mode: str, form: str, most: float, tmp_path: Path) -> None:
    side = 2000
    image = (
        Image.new("RGBA", (side, side), (9, 9, 9, 60))
        if mode == "RGBA"
        else Image.new(mode, (side, side), 40000 if mode == "I;16" else 3)
    )
    options: dict[str, Any] = {"lossless": True, "method": 0} if form == "WEBP" else {}
    image.save(tmp_path / "big", format=form, **options)
    Image.new("RGB", (9, 9)).save(tmp_path / "small.png")
    for channels in ("1", "3"):
        done = subprocess.run(
            # a shell between, for the peak of a forked process begins with its parent's
            ["/bin/sh", "-c", '"$0" "$@"', sys.executable, "-c", _MEASURE, "big", channels],
            cwd=tmp_path,
            env=os.environ.copy(),
            capture_output=True,
            text=True,
            check=True,
        )
        assert int(done.stdout) * 1024 / side**2 < most + 3, channels


@pytest.mark.parametrize("size", [(1, 70_000), (70_000, 1)])
def test_a_side_that_is_too_long_is_refused(size: tuple[int, int]) -> None:
    content = io.BytesIO()
    Image.new("L", size).save(content, "PNG")
    with pytest.raises(ImageError, match="a side has 70,000 pixels, more than 65,535"):
        open_image(content.getvalue())
    with pytest.raises(ImageError, match="more than 65,535"):
        probe_image(content.getvalue())


def test_decoders_print_nothing_about_a_damaged_file(capfd: pytest.CaptureFixture[str]) -> None:
    picture = Image.fromarray(np.arange(1600, dtype=np.uint16).astype(np.uint8).reshape(40, 40))
    refused = 0
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "group4", "packbits"):
        file = io.BytesIO()
        (picture.convert("1") if compression == "group4" else picture).save(
            file, "TIFF", compression=compression
        )
        whole = file.getvalue()
        for at in range(8, len(whole), 3):
            damaged = bytearray(whole)
            damaged[at] ^= 0xFF
            try:
                open_image(bytes(damaged))
            except ImageError:
                refused += 1
    assert refused > 100
    assert capfd.readouterr() == ("", "")
