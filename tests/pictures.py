"""Pictures that a classifier can learn within seconds."""

from pathlib import Path

import numpy as np
from PIL import Image


def striped_picture(path: Path, label: int, seed: int, mode: str = "RGB", *, side: int = 24) -> None:
    """Stripes whose direction is the class, under noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(seed)
    row, column = np.mgrid[0:side, 0:side]
    along = (row, column, row + column, row - column)[label % 4]
    pixels = 128 + 90 * np.sin(along * (0.6 + 0.15 * (label // 4)) + chance.uniform(0, 6.28))
    pixels = pixels[..., None] + chance.normal(0, 25, (side, side, 3))
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).convert(mode).save(path)
