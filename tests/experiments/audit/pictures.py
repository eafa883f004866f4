"""Folders of pictures that differ, as photos do, for the tests of the audit."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


def photo(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """Coloured patches of several sizes, others for every seed."""
    random = np.random.default_rng(seed)
    picture = np.zeros((size[1], size[0], 3))
    for cells in (3, 8, 20):
        noise = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        picture += np.asarray(noise.resize(size, Image.Resampling.BICUBIC), dtype=float) / 3
    return Image.fromarray(picture.astype(np.uint8))


def disks(seed: int) -> Image.Image:
    """Five red disks on white, at other places for every seed."""
    random = np.random.default_rng(seed)
    picture = Image.new("RGB", (160, 120), "white")
    for x, y in random.integers(0, (130, 90), (5, 2)).tolist():
        ImageDraw.Draw(picture).ellipse((x, y, x + 30, y + 30), fill="red")
    return picture


def folder_of_photos(folder: Path, classes: int = 2, images: int = 10) -> Path:
    """Class folders `class0`, …, with photos `0.png`, …; all are different."""
    for label in range(classes):
        (folder / f"class{label}").mkdir(parents=True)
        for number in range(images):
            photo(1000 * label + number).save(folder / f"class{label}" / f"{number}.png")
    return folder
