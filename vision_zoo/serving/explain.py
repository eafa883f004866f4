"""Occlusion maps: how the prediction changes if parts of an image are covered (Zeiler and Fergus 2014)."""

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vision_zoo.core import atomic
from vision_zoo.serving.pictures import STDIN
from vision_zoo.serving.session import Session

_ACROSS = 6
"""A cover is a sixth of the image's side, and moves by half of itself."""
_BATCH = 64
_FOR, _AGAINST = np.array((213, 94, 0)), np.array((0, 114, 178))


def occlusion(session: Session, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Fall of the best label's probability when a part is covered, `[height, width]`; negative where it rises.

    `pixels` is the model's input, uint8 `[height, width, channels]`. A cover has the colour of the image's border. Every
    pixel has the mean over the covers that lay on it. Raises ModelError if the model fails.
    """
    height, width = pixels.shape[:2]
    cover_height, cover_width = max(1, height // _ACROSS), max(1, width // _ACROSS)
    border = np.median(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]), axis=0)
    places = [(top, left) for top in _starts(height, cover_height) for left in _starts(width, cover_width)]
    falls = _falls(session, pixels, places, (cover_height, cover_width), border)
    total, covers = np.zeros((height, width)), np.zeros((height, width))
    for (top, left), fall in zip(places, falls, strict=True):
        part = (slice(top, top + cover_height), slice(left, left + cover_width))
        total[part] += fall
        covers[part] += 1
    return total / covers


def heat_map(pixels: NDArray[np.uint8], importance: NDArray[np.float64], side: int = 336) -> Image.Image:
    """The model's input in gray, with orange where covering lowers the answer's probability, blue where it raises it."""
    gray = np.asarray(Image.fromarray(pixels.squeeze()).convert("L").resize((side, side)), dtype=np.float64)
    smooth = np.asarray(
        Image.fromarray(importance.astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC)
    )
    largest = max(float(np.abs(smooth).max()), 1e-6)
    strength = np.clip(np.abs(smooth) / largest, 0, 1)[..., None] * 0.85
    color = np.where(smooth[..., None] >= 0, _FOR, _AGAINST)
    mixed = (1 - strength) * gray[..., None] + strength * color
    return Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))


def write_heat_map(path: Path, session: Session, pixels: NDArray[np.uint8]) -> None:
    """Write the heat map of a model's input as PNG; ModelError if the model fails, StorageError if it is unwritable."""
    content = io.BytesIO()
    heat_map(pixels, occlusion(session, pixels)).save(content, "PNG")
    atomic.write_bytes(path, content.getvalue())


def heat_map_paths(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """A PNG file in `folder` for each picture: its path below the folder that all have in common, doubles numbered."""
    # Without `..`, which would lead out of `folder`.
    places = {name: Path(os.path.abspath(name if name != STDIN else "stdin")) for name in names}  # noqa: PTH100
    common = os.path.commonpath([place.parent for place in places.values()])
    paths: dict[str, Path] = {}
    taken: set[Path] = set()
    for name, place in places.items():
        path = target = (folder / place.relative_to(common)).with_suffix(".png")
        number = 1
        while path in taken:
            number += 1
            path = target.with_stem(f"{target.stem}-{number}")
        taken.add(path)
        paths[name] = path
    return paths


def _starts(length: int, cover: int) -> list[int]:
    starts = list(range(0, length - cover + 1, max(1, cover // 2)))
    return starts if starts[-1] == length - cover else [*starts, length - cover]


def _falls(
    session: Session,
    pixels: NDArray[np.uint8],
    places: list[tuple[int, int]],
    cover: tuple[int, int],
    border: NDArray[np.float64],
) -> NDArray[np.float64]:
    whole = session.predict(pixels[None]).probabilities[0].astype(np.float64)
    index = int(whole.argmax())
    color = border.round().astype(np.uint8)

    def covered() -> Iterator[NDArray[np.uint8]]:
        for start in range(0, len(places), _BATCH):
            batch = np.repeat(pixels[None], len(places[start : start + _BATCH]), axis=0)
            for image, (top, left) in zip(batch, places[start : start + _BATCH], strict=True):
                image[top : top + cover[0], left : left + cover[1]] = color
            yield batch

    probabilities = session.predict_batches(covered()).probabilities[:, index]
    falls: NDArray[np.float64] = whole[index] - probabilities
    return falls
