"""Image files as they are: formats, samples, metadata, damage, and what costs too much."""

import contextlib
import io
import os
import random
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

from tests.images.pictures import decoded_or_refused, encoded_pictures, mutated
from vision_zoo.core.errors import ImageError
from vision_zoo.images.decode import open_image, probe_image
from vision_zoo.images.preprocess import InputFormat, prepare

GRAY = np.add.outer(np.arange(0, 200, 5), np.arange(0, 56)).astype(np.uint8)
FULL = GRAY.astype(np.uint16) * 257
_SECONDS = 20
"""Of a processor, on a slow one: what must not happen takes minutes."""


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


READ = {
    "16 bits": tiff(FULL),
    "16-bit PNG": saved(Image.fromarray(FULL), "PNG"),
    "white is zero, 8 bits": tiff(255 - GRAY, t262=0),
    "white is zero, 16 bits": tiff(65535 - FULL, t262=0),
    "float 0..1": tiff(GRAY.astype(np.float32) / 255),
    "float 0..1, white is zero": tiff(1 - GRAY.astype(np.float32) / 255, t262=0),
    "12 bits, SMaxSampleValue": tiff((FULL >> 4).astype(np.uint16), t341=4095),
    "12 bits, MaxSampleValue": tiff((FULL >> 4).astype(np.uint16), t281=4095),
    "10 bits, white is zero": tiff((1023 - (FULL >> 6)).astype(np.uint16), t281=1023, t262=0),
    "float 0..100 by its tag": tiff(GRAY.astype(np.float32) * (100 / 255), t340=(11, 0.0), t341=(11, 100.0)),
    "32 bits by their tag": tiff(FULL.astype(np.uint32) * 65537, t341=(4, 2**32 - 1)),
    "12-bit PGM": b"P5\n56 40\n4095\n" + (FULL >> 4).astype(">u2").tobytes(),
    "16-bit PGM": b"P5\n56 40\n65535\n" + FULL.astype(">u2").tobytes(),
    "dark 16-bit PGM": b"P5\n56 40\n65535\n" + (FULL // 40).astype(">u2").tobytes(),
    "7-bit PGM": b"P5\n56 40\n127\n" + (GRAY // 2).tobytes(),
    "plain PGM": b"P2\n# text\n56 40\n255\n" + " ".join(map(str, GRAY.reshape(-1))).encode(),
    "PFM": b"Pf\n56 40\n-1.0\n" + np.flipud(GRAY.astype(np.float32) / 255).astype("<f4").tobytes(),
}


@pytest.mark.parametrize("case", READ)
def test_samples_of_a_known_range_come_out_as_the_picture_of_8_bits(case: str) -> None:
    seen = np.asarray(open_image(READ[case]).convert("L")).astype(int)
    expected = GRAY // 40 if "dark" in case else GRAY
    assert np.abs(seen - expected).max() <= 1


REFUSED = {
    "12 in 16 bits": tiff((FULL >> 4).astype(np.uint16)),
    "12 in 16 bits, white is zero": tiff((FULL >> 4).astype(np.uint16), t262=0),
    "10 in 16 bits, PNG": saved(Image.fromarray((FULL >> 6).astype(np.uint16)), "PNG"),
    "8 in 16 bits": tiff(GRAY.astype(np.uint16)),
    "signed 8 bits": tiff((GRAY.astype(int) - 128).astype(np.int8)),
    "signed 16 bits": tiff((FULL.astype(int) - 32768).astype(np.int16)),
    "signed 32 bits": tiff(GRAY.astype(np.int32)),
    "unsigned 32 bits": tiff(GRAY.astype(np.uint32)),
    "float 0..255": tiff(GRAY.astype(np.float32)),
    "float 0..5000": tiff(GRAY.astype(np.float32) * 20),
    "float below 0": tiff(GRAY.astype(np.float32) / 255 - 0.5),
    "not a number": tiff(np.where(GRAY == 50, np.nan, GRAY / 255).astype(np.float32)),
    "infinite": tiff(np.where(GRAY == 50, np.inf, GRAY / 255).astype(np.float32)),
    "beyond its tag": tiff(FULL, t341=4095),
}


@pytest.mark.parametrize("case", REFUSED)
def test_samples_of_an_unknown_range_are_refused(case: str) -> None:
    with pytest.raises(ImageError, match="save it with 8 bits"):
        open_image(REFUSED[case])


def test_12_bits_in_16_are_refused_in_colour_too() -> None:
    import struct as packing

    rows = b"".join(b"\0" + np.stack([FULL >> 4] * 3, -1).astype(">u2")[row].tobytes() for row in range(40))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return packing.pack(">L", len(data)) + kind + data + packing.pack(">L", zlib.crc32(kind + data))

    header = packing.pack(">LLBBBBB", 56, 40, 16, 2, 0, 0, 0)
    png = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    with pytest.raises(ImageError, match="does not tell their range"):
        open_image(png)


def test_a_black_picture_of_16_bits_is_black() -> None:
    assert not np.asarray(open_image(tiff(np.zeros((9, 9), dtype=np.uint16)))).any()


@pytest.mark.parametrize("name", encoded_pictures())
def test_every_format_is_read_whatever_its_name(name: str, tmp_path: Path) -> None:
    content = encoded_pictures()[name]
    (tmp_path / "picture.txt").write_bytes(content)
    image = open_image(tmp_path / "picture.txt")
    header = probe_image(content)
    assert image.size == (header.width, header.height) == (40, 40)
    assert header.pixels == 1600
    assert header.format == {"TIF": "TIFF", "PGM": "PPM", "JPE": "JPEG", "WEB": "WEBP", "AVI": "AVIF"}.get(
        name[:3].upper(), name[:3].upper()
    )
    seen = prepare(image, InputFormat(channels=3, height=40, width=40))
    expected = np.asarray(open_image(encoded_pictures()["bmp"])).astype(int)
    if "exif" in name or name in ("png", "jpeg", "webp", "avif"):  # they are marked as turned
        expected = np.rot90(expected, -1)
    if not any(word in name for word in ("16", "float", "pgm", "palette")):
        assert np.abs(seen.astype(int) - expected).mean() < 12


def _jpeg_with_exif(exif: bytes) -> bytes:
    plain = saved(Image.fromarray(GRAY), "JPEG")
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 8) + b"Exif\0\0" + exif + plain[2:]


def _directory(*entries: tuple[int, int, int, bytes], order: str = "<") -> bytes:
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "L", 8)
    packed = b"".join(struct.pack(order + "HHL", *entry[:3]) + entry[3].ljust(4, b"\0") for entry in entries)
    return head + struct.pack(order + "H", len(entries)) + packed + bytes(4)


SIX = (0x0112, 3, 1, struct.pack("<H", 6))
EXIF = {
    "rational of a zero": (
        _directory(SIX, (0x011A, 5, 1, struct.pack("<L", 38))) + struct.pack("<ll", -1, 0),
        True,
    ),
    "offset beyond the end": (_directory(SIX, (0x010E, 2, 9999, struct.pack("<L", 2**32 - 1))), True),
    "unknown type": (_directory((0x0100, 99, 1, b""))[:-4] + bytes(4), False),
    "odd width": (_directory((0x0100, 2, 1, b"x"), SIX), True),
    "big end first": (_directory((0x0112, 3, 1, struct.pack(">H", 6)), order=">"), True),
    "as a long": (_directory((0x0112, 4, 1, struct.pack("<L", 6))), True),
    "orientation 0": (_directory((0x0112, 3, 1, b"\0\0")), False),
    "orientation 9": (_directory((0x0112, 3, 1, b"\x09\0")), False),
    "orientation as text": (_directory((0x0112, 2, 2, b"6\0")), False),
    "truncated directory": (_directory(SIX, SIX)[:20], False),
    "truncated after it": (_directory(SIX)[:22], True),
    "no directory": (b"II*\0\xff\xff\xff\xff", False),
    "nothing": (b"", False),
    "a sub-directory that is itself": (_directory(SIX, (0x8769, 4, 1, struct.pack("<L", 8))), True),
}


@pytest.mark.parametrize("case", EXIF)
def test_pixels_are_used_whatever_the_exif_data(case: str) -> None:
    exif, turned = EXIF[case]
    assert open_image(_jpeg_with_exif(exif)).size == ((40, 56) if turned else (56, 40))
    webp = saved(Image.fromarray(GRAY), "WEBP", exif=b"Exif\0\0" + exif)
    assert open_image(webp).size == ((40, 56) if turned else (56, 40))


def test_a_short_fuzz_of_all_formats_gives_pictures_or_image_errors() -> None:
    chance = random.Random(0)
    outcomes = [
        decoded_or_refused(mutated(content, chance)) is not None
        for content in encoded_pictures().values()
        for _ in range(60)
    ]
    assert 0.1 < np.mean(outcomes) < 0.9


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
