"""Images and forms that are wrong, and odd ones that are not."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.serving.server.conftest import CLASSIFY

pytestmark = pytest.mark.usefixtures("well_afterwards")


def _image(mode: str = "L", size: tuple[int, int] = (40, 40), form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image = Image.new(mode, size)
    if mode != "1":
        image.paste(255 if mode == "L" else "white", (15, 8, 22, 32))
    image.save(buffer, format=form, **options)
    return buffer.getvalue()


def _pixel_bomb() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10_000)))
        + chunk(b"IEND", b"")
    )


UNUSABLE = {
    "empty": b"",
    "no image": b"hello",
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'><rect width='9' height='9'/></svg>",
    "PDF": b"%PDF-1.4",
    "truncated PNG": _image()[:60],
    "truncated JPEG": _image(form="JPEG")[:200],
    "a pixel bomb": _pixel_bomb(),
    "blank": _image("1"),
    "JSON": b"{}",
}


@pytest.mark.parametrize("content", UNUSABLE.values(), ids=UNUSABLE)
def test_an_image_that_cannot_be_used_is_422(client: httpx.Client, content: bytes) -> None:
    answer = client.post(CLASSIFY, content=content)
    assert answer.status_code == 422
    assert "/" not in answer.json()["error"].replace("application/", "")


def _rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return _image("RGB", form="JPEG", exif=exif)


USABLE = {
    "grayscale": _image(),
    "RGB": _image("RGB"),
    "alpha": _image("RGBA"),
    "CMYK": _image("CMYK", form="JPEG"),
    "GIF": _image("L", form="GIF"),
    "TIFF": _image("L", form="TIFF"),
    "WebP": _image("RGB", form="WEBP"),
    "BMP": _image("RGB", form="BMP"),
    "turned by EXIF": _rotated(),
}


@pytest.mark.parametrize("content", USABLE.values(), ids=USABLE)
def test_images_of_all_kinds_are_classified(client: httpx.Client, content: bytes) -> None:
    answer = client.post(CLASSIFY, content=content)
    assert answer.status_code == 200, answer.text
    assert sum(
        entry["probability"]
        for entry in client.post(f"{CLASSIFY}?top=10", content=content).json()["probabilities"]
    ) == (pytest.approx(1, abs=1e-4))


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (3000, 2)])
def test_images_of_odd_sizes_have_a_defined_answer(client: httpx.Client, size: tuple[int, int]) -> None:
    assert client.post(CLASSIFY, content=_image("RGB", size)).status_code in (200, 422)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=a", b"x"),
        ("multipart/form-data; boundary=a", b"--a\r\n\r\n--a--"),
        ("multipart/form-data; boundary=" + "a" * 300, b"x"),
        (
            "multipart/form-data; boundary=a",
            b'--a\r\nContent-Disposition: form-data; name="file"\r\n\r\ntext\r\n--a--\r\n',
        ),
    ],
)
def test_a_form_without_a_file_is_400(client: httpx.Client, kind: str, body: bytes) -> None:
    answer = client.post(CLASSIFY, content=body, headers={"Content-Type": kind})
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize("top", ["0", "-1", "x", "1e9", "9" * 50])
def test_top_must_be_a_number_above_0(client: httpx.Client, top: str, digit_png: Path) -> None:
    answer = client.post(f"{CLASSIFY}?top={top}", content=digit_png.read_bytes())
    assert answer.status_code == (200 if top == "9" * 50 else 400)
