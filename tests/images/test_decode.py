"""Image files as they are: formats, samples, metadata, and damage."""

import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.images.pictures import GRAY, decoded_or_refused, encoded_pictures, mutated, saved, tiff
from vision_zoo.core.errors import ImageError
from vision_zoo.images.decode import open_image, probe_image
from vision_zoo.images.preprocess import InputFormat, prepare

FULL = GRAY.astype(np.uint16) * 257

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
    with pytest.raises(ImageError, match="does not state their range"):
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
