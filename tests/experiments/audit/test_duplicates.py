"""Near duplicates: what a copy may differ in, and what is none."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from tests.experiments.audit.pictures import photo
from vision_zoo.experiments.audit.duplicates import Group, find_duplicates, near_pairs
from vision_zoo.experiments.audit.pictures import SMALL


def _small(*pictures: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.stack(
        [np.asarray(picture.resize((SMALL, SMALL), Image.Resampling.BILINEAR)) for picture in pictures]
    )


def _jpeg(picture: Image.Image) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=50)
    return Image.open(file).convert("RGB")


_COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "re-encoded": _jpeg,
    "smaller": lambda picture: picture.resize((picture.width // 2, picture.height // 2)),
    "cropped at a corner": lambda picture: picture.crop(
        (0, 0, round(picture.width * 0.9), round(picture.height * 0.9))
    ),
    "cropped in the middle": lambda picture: picture.crop((8, 6, picture.width - 8, picture.height - 6)),
    "mirrored": lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "mirrored, cropped and re-encoded": lambda picture: _jpeg(
        picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).crop((10, 5, 155, 115))
    ),
}


@pytest.mark.parametrize("copy", _COPIES.values(), ids=_COPIES)
def test_a_changed_copy_is_found_and_nothing_else_is(copy: Callable[[Image.Image], Image.Image]) -> None:
    pictures = [photo(seed) for seed in range(30)]
    looked_at: list[int] = []
    assert near_pairs(_small(*pictures, copy(pictures[7])), looked_at.append) == [(7, 30)]
    assert sum(looked_at) == 31


def test_pictures_without_contrast_are_no_copies_of_each_other() -> None:
    flat = [Image.new("RGB", (40, 40), (level, level, level)) for level in (0, 90, 91, 255)]
    assert near_pairs(_small(*flat), lambda _: None) == []


def test_hundreds_of_identical_files_are_one_group_beside_a_near_copy() -> None:
    one, other = photo(0), photo(1)
    small = _small(*[one] * 300, other, _jpeg(one))
    pixels = [*["a"] * 300, "b", "c"]
    groups = find_duplicates(pixels, pixels, small, lambda _: None)
    assert groups == [Group((*range(300), 301), "near")]


def test_a_group_says_in_what_its_pictures_are_the_same() -> None:
    one, other, third = photo(0), photo(1), photo(2)
    small = _small(one, one, other, other, third)
    groups = find_duplicates(["a", "a", "b", "c", "d"], ["p", "p", "q", "q", "r"], small, lambda _: None)
    assert groups == [Group((0, 1), "content"), Group((2, 3), "pixels")]


def test_no_picture_and_one_have_no_duplicates() -> None:
    assert find_duplicates([], [], np.array([], dtype=np.uint8), lambda _: None) == []
    assert find_duplicates(["a"], ["a"], _small(photo(0)), lambda _: None) == []
