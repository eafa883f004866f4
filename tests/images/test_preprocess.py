import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vision_zoo.core.errors import BlankImageError, ImageError
from vision_zoo.data import DATASETS
from vision_zoo.data.dataset import Splits
from vision_zoo.images.preprocess import MAX_PIXELS, InputFormat, open_image, prepare

DIGIT = DATASETS["mnist"].input
RGB = InputFormat(channels=3, height=32, width=32)


def _png(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", **options)
    return buffer.getvalue()


def test_the_models_own_images_come_through_unchanged(mnist_5k: Splits) -> None:
    for pixels in mnist_5k.test.images[:200]:
        image = open_image(_png(Image.fromarray(pixels.squeeze())))
        assert np.array_equal(prepare(image, DIGIT), pixels)


def test_a_digit_in_dark_ink_on_grey_paper_off_centre_becomes_a_centred_one(mnist_5k: Splits) -> None:
    digit = np.asarray(Image.fromarray(mnist_5k.test.images[500].squeeze()).resize((112, 112)))
    paper = np.full((300, 400), 200, dtype=np.uint8)
    paper[20:132, 250:362] = 200 - (digit * 0.6).astype(np.uint8)
    seen = prepare(Image.fromarray(paper), DIGIT).squeeze().astype(float)
    rows, columns = np.nonzero(seen > 100)
    assert seen.max() > 220
    assert seen[0, 0] == 0
    assert max(np.ptp(rows), np.ptp(columns)) in range(17, 21)
    assert (seen.sum(axis=1) * np.arange(28)).sum() / seen.sum() == pytest.approx(14, abs=0.6)
    assert (seen.sum(axis=0) * np.arange(28)).sum() / seen.sum() == pytest.approx(14, abs=0.6)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_blank_image_is_refused_for_digits(value: int) -> None:
    with pytest.raises(BlankImageError):
        prepare(Image.new("L", (100, 100), value), DIGIT)


def test_a_wide_photograph_is_cropped_to_its_middle() -> None:
    pixels = np.zeros((40, 120, 3), dtype=np.uint8)
    pixels[:, 40:80] = (10, 200, 30)
    assert np.array_equal(
        np.unique(prepare(Image.fromarray(pixels), RGB).reshape(-1, 3), axis=0), [[10, 200, 30]]
    )


def test_a_stretched_picture_keeps_all_and_loses_its_proportions() -> None:
    pixels = np.zeros((40, 120, 3), dtype=np.uint8)
    pixels[:, :60] = (10, 200, 30)
    seen = prepare(Image.fromarray(pixels), replace(RGB, crop="stretch"))
    assert np.array_equal(seen[:, :15], np.broadcast_to((10, 200, 30), (32, 15, 3)))
    assert not seen[:, 17:].any()


def test_without_a_crop_the_whole_image_is_kept_and_padded() -> None:
    seen = prepare(Image.new("L", (64, 32), 90), InputFormat(channels=1, height=28, width=28, crop="none"))
    assert np.array_equal(np.unique(seen), [90])


@pytest.mark.parametrize(
    "mode",
    [
        "1",
        "L",
        "LA",
        "La",
        "P",
        "PA",
        "RGB",
        "RGBA",
        "RGBa",
        "CMYK",
        "YCbCr",
        "LAB",
        "HSV",
        "I",
        "I;16",
        "I;16B",
        "F",
    ],
)
@pytest.mark.parametrize("target", [RGB, DIGIT], ids=["rgb", "digit"])
def test_every_colour_mode_gives_the_target_shape(mode: str, target: InputFormat) -> None:
    drawn = Image.new("L", (50, 40), 0)
    drawn.paste(255, (20, 10, 26, 30))
    if mode.startswith("I;16"):
        image = Image.fromarray(np.asarray(drawn).astype(np.uint16) * 257)
        if mode == "I;16B":
            image = Image.frombytes(mode, image.size, np.asarray(image).astype(">u2").tobytes())
    elif mode == "LAB":
        image = Image.merge(mode, (drawn, Image.new("L", drawn.size, 128), Image.new("L", drawn.size, 128)))
    else:
        steps = {"La": ["LA"], "PA": ["P"], "RGBa": ["RGBA"], "LA": [], "HSV": ["RGB"]}.get(mode, [])
        image = drawn
        for step in [*steps, mode]:
            image = image.convert(step)
    assert image.mode == mode
    seen = prepare(image, target)
    assert seen.shape == target.shape
    assert seen.dtype == np.uint8
    assert seen.max() > 200
    assert seen.min() < 50


def test_deep_pixels_made_in_memory_are_not_black() -> None:
    pixels = np.add.outer(np.arange(0, 200, 5), np.arange(0, 56))
    expected = prepare(Image.fromarray(pixels.astype(np.uint8)), RGB).astype(int)
    for deep in (
        pixels.astype(np.float32) / 255,
        pixels.astype(np.uint16) * 257,
        pixels.astype(np.int32) * 257,
    ):
        assert np.abs(prepare(Image.fromarray(deep), RGB) - expected).max() <= 1
    for unknown in (
        pixels.astype(np.uint16) * 16,
        pixels.astype(np.int32) * 16,
        pixels.astype(np.float32) * 16,
    ):
        with pytest.raises(ImageError, match="save it with 8 bits"):
            prepare(Image.fromarray(unknown), RGB)


@pytest.mark.parametrize("ink", [0, 255], ids=["black", "white"])
def test_ink_on_a_transparent_page_is_seen(ink: int) -> None:
    image = Image.new("RGBA", (100, 100), (0, 0, 0, 0))
    image.paste((ink, ink, ink, 255), (45, 20, 55, 80))
    assert prepare(image, DIGIT).mean() == pytest.approx(255 * 20 * 3 / 28 / 28, rel=0.3)


def test_one_pixel_is_an_image() -> None:
    assert np.array_equal(np.unique(prepare(Image.new("RGB", (1, 1), (7, 7, 7)), RGB)), [7])


def test_an_image_is_turned_upright() -> None:
    image = Image.new("L", (40, 20), 0)
    exif = Image.Exif()
    exif[0x0112] = 6
    assert open_image(_png(image, exif=exif)).size == (20, 40)


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    side = int(MAX_PIXELS**0.5) + 1
    with pytest.raises(ImageError, match="more than 64 million pixels"):
        open_image(_png(Image.new("1", (side, side))))


@pytest.mark.parametrize(
    "content", [b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"GIF89a", b"\xff\xd8\xff"]
)
def test_what_is_no_image_is_refused(content: bytes) -> None:
    with pytest.raises(ImageError):
        open_image(content)


def test_every_truncation_of_an_image_is_refused_or_read(mnist_5k: Splits) -> None:
    content = _png(Image.fromarray(mnist_5k.test.images[0].squeeze()))
    for length in range(len(content)):
        try:
            assert open_image(content[:length]).size == (28, 28)
            assert length > len(content) * 0.9  # only the end mark is missing
        except ImageError:
            pass


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"missing\.png"):
        open_image(tmp_path / "missing.png")


@pytest.mark.parametrize("change", [{"channels": 2}, {"height": 0}, {"crop": "left"}, {"polarity": "dark"}])
def test_an_impossible_format_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        replace(RGB, **change)  # type: ignore[arg-type]
