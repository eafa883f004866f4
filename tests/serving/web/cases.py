"""Pictures of all sizes and modes, and what Python and the page make of them."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page

from tests.conftest import ROOT
from vision_zoo.core.errors import ImageError
from vision_zoo.images.preprocess import InputFormat, open_image, prepare

DIGITS = InputFormat(channels=1, height=28, width=28, centring="center_of_mass", polarity="light_on_dark")
FORMATS = (
    DIGITS,
    InputFormat(channels=3, height=32, width=32),
    InputFormat(channels=1, height=28, width=28, polarity="light_on_dark", crop="none", resample="bicubic"),
    InputFormat(channels=3, height=64, width=48, crop="stretch", resample="lanczos"),
)
_TILE = 70  # of drawn_digits.png
_SIDES = (1, 2, 5, 16, 28, 31, 64, 65, 99, 160, 161, 240, 321, 480, 641, 900)


@dataclass(frozen=True)
class Case:
    """A picture file, and the format that it is brought to."""

    name: str
    content: bytes
    target: InputFormat


def cases(count: int, seed: int = 0) -> Iterator[Case]:
    """`count` pictures, the same every time; every format of a model gets all kinds of them."""
    chance = np.random.default_rng(seed)
    sheet = Image.open(ROOT / "tests" / "data" / "drawn_digits.png").convert("L")
    for number in range(count):
        target = FORMATS[0 if number % 2 else (number // 2) % len(FORMATS)]
        picture = _digit(sheet, chance) if target is DIGITS else _scene(chance)
        how, content = _encoded(picture, chance)
        yield Case(f"{number}-{how}-{picture.width}x{picture.height}", content, target)


def _digit(sheet: Image.Image, chance: np.random.Generator) -> Image.Image:
    """A drawn digit on paper: drawn on a pad, scanned, or photographed with falling light, noise and ruling."""
    column, row = int(chance.integers(10)), int(chance.integers(sheet.height // _TILE))
    tile = sheet.crop((column * _TILE, row * _TILE, (column + 1) * _TILE, (row + 1) * _TILE))
    ink = np.asarray(tile, dtype=np.float64) / 255
    if np.median(ink) > 0.5:
        ink = 1 - ink
    height, width = (
        int(chance.choice((70, 90, 160, 280, 480, 700))),
        int(chance.choice((70, 90, 200, 280, 640))),
    )
    side = int(min(height, width) * chance.uniform(0.4, 0.9))
    resized = Image.fromarray((255 * ink).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    canvas = np.zeros((height, width))
    top, left = int(chance.integers(height - side + 1)), int(chance.integers(width - side + 1))
    canvas[top : top + side, left : left + side] = np.asarray(resized) / 255
    kind = chance.integers(4)
    if kind == 0:
        return Image.fromarray((255 * (1 - canvas)).astype(np.uint8))
    if kind == 1:
        return Image.fromarray((255 * canvas).astype(np.uint8))
    y, x = np.mgrid[0:height, 0:width]
    light = 235 - chance.uniform(0, 90) * x / width - chance.uniform(0, 60) * y / height
    pixels = light * (1 - 0.75 * canvas) + chance.normal(0, chance.uniform(0, 6), canvas.shape)
    if kind == 3:  # ruled, as a sheet of a pad
        pixels[:: max(8, height // 12)] *= 0.7
        if chance.integers(2):
            pixels[:, :: max(8, height // 12)] *= 0.7
    colours = pixels[..., None] * chance.uniform(0.9, 1, 3)
    return Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8))


def _scene(chance: np.random.Generator) -> Image.Image:
    """Smooth colours with discs and noise, of any size."""
    height, width = int(chance.choice(_SIDES)), int(chance.choice(_SIDES))
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack(
        [128 + 100 * np.sin(x / chance.uniform(3, 90) + y / chance.uniform(3, 90)) for _ in range(3)], -1
    )
    for _ in range(3):
        disc = (x - chance.uniform(0, width)) ** 2 + (y - chance.uniform(0, height)) ** 2 < (
            height * width
        ) / 16
        pixels[disc] = chance.uniform(0, 255, 3)
    pixels += chance.normal(0, chance.uniform(0, 20), pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _encoded(picture: Image.Image, chance: np.random.Generator) -> tuple[str, bytes]:
    """The picture in a mode and a file format that browsers read."""
    exif = Image.Exif()
    exif[0x0112] = int(chance.integers(1, 9))
    alpha = Image.fromarray(
        (255 * np.linspace(0, 1, picture.width * picture.height) ** 0.1)
        .astype(np.uint8)
        .reshape(picture.height, picture.width)
    )
    clear = picture.convert("RGBA")
    clear.putalpha(alpha)
    kinds: list[tuple[str, Image.Image, str, dict[str, Any]]] = [
        ("png-L", picture.convert("L"), "PNG", {}),
        ("png-RGB", picture.convert("RGB"), "PNG", {"exif": exif}),
        ("png-RGBA", clear, "PNG", {}),
        ("png-LA", clear.convert("LA"), "PNG", {}),
        ("png-P", picture.convert("RGB").quantize(64), "PNG", {}),
        ("png-1", picture.convert("1"), "PNG", {}),
        ("jpeg-RGB", picture.convert("RGB"), "JPEG", {"exif": exif, "quality": 92}),
        ("jpeg-L", picture.convert("L"), "JPEG", {"progressive": True}),
        ("webp", picture.convert("RGB"), "WEBP", {"lossless": True}),
        ("bmp", picture.convert("RGB"), "BMP", {}),
        ("gif", picture.convert("L"), "GIF", {}),
    ]
    name, image, form, options = kinds[int(chance.integers(len(kinds)))]
    buffer = io.BytesIO()
    image.save(buffer, format=form, **options)
    return name, buffer.getvalue()


Input = NDArray[np.uint8] | str
"""What a model takes, or why the picture cannot be used."""


def by_python(case: Case) -> Input:
    try:
        return prepare(open_image(case.content), case.target)
    except ImageError as error:
        return str(error).removeprefix("the image: ")


_PREPARE = """async (cases) => {
  const results = [];
  for (const { content, target } of cases) {
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    try {
      const picture = await window.visionZoo.decoded(new Blob([bytes]));
      results.push(Array.from(window.visionZoo.prepare(picture, target)));
    } catch (error) {
      results.push(error.message);
    }
  }
  return results;
}"""


def by_page(page: Page, chosen: Sequence[Case]) -> list[Input]:
    """What the page makes of the pictures, twenty at a time."""
    found: list[Input] = []
    for start in range(0, len(chosen), 20):
        part = chosen[start : start + 20]
        sent = [
            {"content": base64.b64encode(case.content).decode(), "target": case.target.to_json()}
            for case in part
        ]
        for case, result in zip(part, page.evaluate(_PREPARE, sent), strict=True):
            found.append(
                result
                if isinstance(result, str)
                else np.array(result, dtype=np.uint8).reshape(case.target.shape)
            )
    return found


_CLASSIFY = """async ([number, shape, content]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const model = window.visionZoo.models()[number], size = shape[0] * shape[1] * shape[2], found = [];
  for (let at = 0; at < bytes.length; at += size) {
    const { best, familiar } = await window.visionZoo.classify(model, bytes.slice(at, at + size));
    found.push([best, familiar]);
  }
  return found;
}"""


def classes_by_page(
    page: Page, number: int, inputs: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], list[bool | None]]:
    """The class of each input of the page's model `number`, and whether it is familiar."""
    found = page.evaluate(_CLASSIFY, [number, inputs.shape[1:], base64.b64encode(inputs.tobytes()).decode()])
    return np.array([best for best, _ in found]), [familiar for _, familiar in found]
