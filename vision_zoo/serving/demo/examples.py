"""Pictures to begin with, drawn here: nobody's photographs."""

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageDraw

_SIDE = 192


@dataclass(frozen=True)
class Example:
    """A picture, what it shows, and whose models know such things."""

    name: str
    dataset: str
    draw: Callable[[], Image.Image]


def examples() -> list[Example]:
    """All of them."""
    return [Example(name, dataset, draw) for name, (dataset, draw) in _DRAWINGS.items()]


def _garment(*shapes: tuple[tuple[float, float], ...]) -> Image.Image:
    """Light shapes on black, as Fashion-MNIST has them; corners are fractions of the side."""
    image = Image.new("L", (_SIDE, _SIDE), 0)
    pen = ImageDraw.Draw(image)
    for shade, shape in zip((205, 170, 140), shapes, strict=False):
        pen.polygon([(x * _SIDE, y * _SIDE) for x, y in shape], fill=shade)
    return image


def _trousers() -> Image.Image:
    return _garment(
        ((0.33, 0.05), (0.67, 0.05), (0.72, 0.95), (0.56, 0.95), (0.5, 0.3), (0.44, 0.95), (0.28, 0.95)),
        ((0.33, 0.05), (0.67, 0.05), (0.67, 0.1), (0.33, 0.1)),
    )


def _t_shirt() -> Image.Image:
    return _garment(
        (
            (0.3, 0.12),
            (0.42, 0.1),
            (0.5, 0.16),
            (0.58, 0.1),
            (0.7, 0.12),
            (0.95, 0.36),
            (0.82, 0.46),
            (0.74, 0.38),
            (0.74, 0.92),
            (0.26, 0.92),
            (0.26, 0.38),
            (0.18, 0.46),
            (0.05, 0.36),
        ),
    )


def _bag() -> Image.Image:
    image = _garment(((0.1, 0.4), (0.9, 0.4), (0.95, 0.9), (0.05, 0.9)))
    ImageDraw.Draw(image).arc(
        [0.28 * _SIDE, 0.12 * _SIDE, 0.72 * _SIDE, 0.7 * _SIDE], 180, 360, fill=180, width=10
    )
    return image


def _ship() -> Image.Image:
    image = Image.new("RGB", (_SIDE, _SIDE), (150, 190, 225))
    pen = ImageDraw.Draw(image)
    pen.rectangle([0, 118, _SIDE, _SIDE], fill=(30, 70, 120))
    pen.polygon([(22, 108), (172, 108), (150, 140), (40, 140)], fill=(120, 35, 35))
    pen.rectangle([60, 80, 130, 108], fill=(235, 235, 235))
    pen.rectangle([100, 48, 116, 80], fill=(60, 60, 65))
    return image


def _aeroplane() -> Image.Image:
    image = Image.new("RGB", (_SIDE, _SIDE), (175, 210, 240))
    pen = ImageDraw.Draw(image)
    pen.ellipse([18, 84, 178, 110], fill=(235, 235, 240))
    pen.polygon([(80, 98), (112, 98), (70, 150), (52, 150)], fill=(190, 195, 205))
    pen.polygon([(96, 92), (116, 92), (96, 56), (84, 56)], fill=(205, 210, 215))
    pen.polygon([(22, 92), (48, 90), (28, 58), (16, 58)], fill=(200, 60, 60))
    return image


_DRAWINGS: dict[str, tuple[str, Callable[[], Image.Image]]] = {
    "trousers": ("fashion-mnist", _trousers),
    "T-shirt": ("fashion-mnist", _t_shirt),
    "bag": ("fashion-mnist", _bag),
    "ship": ("cifar10", _ship),
    "aeroplane": ("cifar10", _aeroplane),
}
