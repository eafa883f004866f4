"""Digits on sheets of paper, drawn again from MNIST's test digits as `benchmarks/sheets.py` does."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from benchmarks.sheets import CONDITIONS, desk, falling_light, hard_shadow, noise, ruled, sheet
from tests.conftest import ROOT
from vision_zoo.core.errors import BlankImageError, SeveralFiguresError
from vision_zoo.data import DATASETS
from vision_zoo.data.dataset import Splits
from vision_zoo.images.preprocess import prepare
from vision_zoo.images.sheet import border, border_level
from vision_zoo.serving.session import Session

DIGIT = DATASETS["mnist"].input
_DIGITS = {"all at once": 25}
"""Of a condition; else 15."""
_LEAST = {"pen 16": 0.96, "pen 8": 0.96, "pen 4": 0.96}
_SHOWN = (
    *_LEAST,
    "falling light",
    "hard shadow",
    "gray lines",
    "blue lines",
    "squared paper",
    "noise 6",
    "dark desk",
    "all at once",
)


@pytest.fixture(scope="module")
def model() -> Session:
    return Session(ROOT / "exported" / "airbench-mnist.onnx", provider="cpu")


@pytest.mark.parametrize("name", _SHOWN)
def test_digits_on_sheets_are_read(name: str, mnist_5k: Splits, model: Session) -> None:
    condition = replace(CONDITIONS[name], side=500, pen=CONDITIONS[name].pen * 1.25)
    picked = np.random.default_rng(1).permutation(len(mnist_5k.test))[: _DIGITS.get(name, 15)]
    sheets = [sheet(mnist_5k.test.images[index].squeeze(-1), condition, int(index)) for index in picked]
    seen = np.stack([prepare(picture, DIGIT) for picture in sheets])
    right = model.predict(seen).classes == mnist_5k.test.labels[picked]
    assert right.mean() >= _LEAST.get(name, 0.9)


def _paper(*effects: Callable[..., np.ndarray], side: int = 600) -> Image.Image:
    chance = np.random.default_rng(3)
    picture = np.full((side, side), 230, dtype=np.float32)
    for effect in effects:
        picture = effect(picture, chance)
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    "effects",
    [
        (),
        (noise(6),),
        (noise(15),),
        (falling_light, noise(3)),
        (hard_shadow,),
        (ruled(60, 0.3),),
        (ruled(40, 0.6, tilt=2),),
        (ruled(50, 0.4, squared=True),),
        (desk(40),),
        (desk(60, sides=1),),
        (ruled(50, 0.4), desk(50), noise(4)),
    ],
)
def test_paper_without_a_digit_is_said_to_be_so(effects: tuple[Callable[..., np.ndarray], ...]) -> None:
    with pytest.raises(BlankImageError, match="there is no digit"):
        prepare(_paper(*effects), DIGIT)


@pytest.mark.parametrize("specks", [1, 2, 7])
def test_specks_are_no_digit(specks: int) -> None:
    page = Image.new("L", (1240, 1754), 255)
    for number in range(specks):
        page.paste(90, (200 + 130 * number, 300 + 170 * number, 202 + 130 * number, 303 + 170 * number))
    with pytest.raises(BlankImageError, match="there is no digit"):
        prepare(page, DIGIT)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(("count", "gap"), [(2, 40), (3, 40), (4, 70)])
def test_several_digits_are_counted(count: int, gap: int, dark: bool, mnist_5k: Splits) -> None:
    page = np.full((400, 1200), 0, dtype=np.uint8)
    left = 60
    for number in range(count):
        digit = Image.fromarray(mnist_5k.test.images[number * 50].squeeze())
        figure = np.asarray(digit.crop(digit.getbbox()).resize((150, 220)))
        page[80:300, left : left + 150] = figure
        left += 150 + gap
    with pytest.raises(
        SeveralFiguresError, match=f"the image has {count} separate shapes; expected one digit"
    ):
        prepare(Image.fromarray(page if dark else 235 - (page * 0.8).astype(np.uint8)), DIGIT)


STROKES = {
    "5": [[(220, 150), (200, 290), (300, 280), (370, 350), (330, 450), (200, 470)], [(250, 130), (390, 125)]],
    "4": [[(200, 120), (190, 330), (330, 330)], [(360, 200), (360, 480)]],
    "7": [[(180, 140), (400, 140), (280, 480)], [(190, 310), (290, 310)]],
    "1": [[(300, 60), (300, 540)]],
}


@pytest.mark.parametrize("digit", STROKES)
@pytest.mark.parametrize("pen", [6, 14, 40])
def test_strokes_near_each_other_are_one_digit(digit: str, pen: int, model: Session) -> None:
    page = Image.new("L", (600, 600), 235)
    for stroke in STROKES[digit]:
        ImageDraw.Draw(page).line(stroke, fill=40, width=pen, joint="curve")
    assert model.predict(prepare(page, DIGIT)[None]).classes[0] == int(digit)


def test_light_digits_on_plain_black_come_through_as_scaled(mnist_5k: Splits) -> None:
    for pixels in mnist_5k.test.images[:300:10]:
        digit = Image.fromarray(pixels.squeeze())
        large = digit.resize((280, 280), Image.Resampling.NEAREST)
        box = Image.fromarray(np.where(np.asarray(digit) >= 32, np.asarray(digit), 0)).getbbox()
        assert box is not None
        size = (10 * (box[2] - box[0]), 10 * (box[3] - box[1]))
        scale = 20 / max(size)
        scaled = large.crop([10 * edge for edge in box]).point([0] * 32 + list(range(32, 256)))  # type: ignore[arg-type]
        expected = scaled.resize((round(size[0] * scale), round(size[1] * scale)), Image.Resampling.BILINEAR)
        seen = prepare(large, DIGIT).squeeze()
        found = Image.fromarray(seen).getbbox()
        assert found is not None
        left, top, right, bottom = found
        assert (
            np.abs(
                seen[top:bottom, left:right].astype(int) - np.asarray(expected.crop(expected.getbbox()))
            ).max()
            <= 1
        )


@pytest.mark.parametrize("pen", [8, 16])
def test_thin_strokes_become_as_thick_everywhere_as_mnists(pen: int) -> None:
    image = Image.new("L", (600, 600), 230)
    draw = ImageDraw.Draw(image)
    for start, end in (
        ((200, 100), (400, 100)),
        ((200, 300), (400, 300)),
        ((200, 500), (400, 500)),
        ((300, 100), (300, 500)),
    ):
        draw.line((*start, *end), fill=30, width=pen)
    seen = prepare(image, DIGIT).squeeze(-1).astype(float) / 255
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    assert int(np.ptp(rows)) + 1 == 20
    left = seen[:, columns[2] : columns[4]].mean(axis=1)  # beside the upright stroke
    thirds = [part.sum() for part in np.array_split(left[rows[0] : rows[-1] + 1], 3)]
    assert thirds == pytest.approx([2.4] * 3, abs=0.5)
    upright = seen[rows[5] : rows[7]].sum(axis=1).mean()
    assert upright == pytest.approx(2.4, abs=0.5)


def test_the_level_of_a_border_is_its_median() -> None:
    generator = np.random.default_rng(0)
    for shape in ((1, 1), (1, 2), (2, 2), (3, 3), (5, 4), (28, 28)):
        pixels = generator.integers(0, 256, shape, dtype=np.uint8)
        assert border_level(pixels) == np.median(border(pixels))
