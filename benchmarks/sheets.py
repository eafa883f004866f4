"""Digits drawn with a pen on photographed sheets of paper, made from MNIST's."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

_SCALE = 8  # MNIST's pixels are drawn so large before they are thinned


@dataclass(frozen=True, kw_only=True)
class Condition:
    """How a digit is drawn and photographed; lengths in pixels of a sheet of 1000, levels from 0 to 255.

    `shade` and the like are made by functions of the picture, float `[side, side]`, and a random generator.
    """

    pen: float = 12
    side: int = 1000
    digit_height: tuple[float, float] = (0.45, 0.75)
    ink: tuple[float, float] = (20, 70)
    paper: tuple[float, float] = (205, 250)
    under: tuple[Callable[[NDArray[Any], np.random.Generator], NDArray[Any]], ...] = ()
    over: tuple[Callable[[NDArray[Any], np.random.Generator], NDArray[Any]], ...] = ()
    tint: tuple[float, float, float] = (1, 1, 1)
    jpeg: int | None = None


@lru_cache(maxsize=1000)
def middle_line(digit: bytes) -> NDArray[np.bool_]:
    """The middle line of a digit's strokes, one pixel wide, `_SCALE` times as large (Zhang and Suen, 1984)."""
    large = Image.frombytes("L", (28, 28), digit).resize((28 * _SCALE,) * 2, Image.Resampling.BICUBIC)
    line = np.asarray(large) > 128
    while True:
        before = int(line.sum())
        for turn in (0, 1):
            line = line & ~_border_points(line, turn)
        if int(line.sum()) == before:
            return line


def _border_points(line: NDArray[np.bool_], turn: int) -> NDArray[np.bool_]:
    padded = np.pad(line, 1)
    height, width = line.shape
    places = ((0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0), (0, 0))
    around = [padded[row : row + height, column : column + width] for row, column in places]
    neighbours = np.sum(around, axis=0)
    changes = np.sum([~a & b for a, b in zip(around, [*around[1:], around[0]], strict=True)], axis=0)
    north, east, south, west = around[0], around[2], around[4], around[6]
    free = ~(north & east & south) & ~(east & south & west)
    if turn:
        free = ~(north & east & west) & ~(north & south & west)
    removed: NDArray[np.bool_] = line & (neighbours >= 2) & (neighbours <= 6) & (changes == 1) & free
    return removed


def drawn(digit: NDArray[np.uint8], condition: Condition, chance: np.random.Generator) -> NDArray[Any]:
    """How much ink is where, 0 to 1, float32 `[side, side]`: the digit somewhere on the sheet."""
    side = condition.side
    rows, columns = np.nonzero(middle_line(digit.tobytes()))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    scale = chance.uniform(*condition.digit_height) * side / max(height, width)
    spare = side - np.array([width, height]) * scale
    left, top = spare * chance.uniform(0.15, 0.85, 2)
    pen = condition.pen * side / 1000
    fine = 2 if pen < 20 else 1
    image = Image.new("L", (side * fine, side * fine))
    draw = ImageDraw.Draw(image)
    points = {(int(row), int(column)) for row, column in zip(rows, columns, strict=True)}

    def place(row: float, column: float) -> tuple[float, float]:
        return ((left + (column - columns.min()) * scale) * fine, (top + (row - rows.min()) * scale) * fine)

    radius = pen * fine / 2
    for row, column in points:
        x, y = place(row, column)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
        for step in ((0, 1), (1, 0), (1, 1), (1, -1)):
            other = (row + step[0], column + step[1])
            if other in points:
                draw.line((x, y, *place(*other)), fill=255, width=max(1, round(pen * fine)))
    small = image.resize((side, side), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32) / 255


def sheet(digit: NDArray[np.uint8], condition: Condition, seed: int) -> Image.Image:
    """A photograph of a digit on a sheet."""
    chance = np.random.default_rng(seed)
    amount = drawn(digit, condition, chance)
    picture = np.full(amount.shape, chance.uniform(*condition.paper), dtype=np.float32)
    for paper in condition.under:
        picture = paper(picture, chance)
    picture = picture * (1 - amount) + np.minimum(picture, chance.uniform(*condition.ink)) * amount
    for light in condition.over:
        picture = light(picture, chance)
    colours = picture[..., None] * np.array(condition.tint, dtype=np.float32)
    image = Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8))
    if condition.jpeg is not None:
        buffer = io.BytesIO()
        image.save(buffer, format="JPEG", quality=condition.jpeg)
        image = Image.open(buffer)
    return image


def _grid(picture: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    rows, columns = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]].astype(np.float32)
    return rows / picture.shape[0], columns / picture.shape[1]


def falling_light(picture: NDArray[Any], chance: np.random.Generator) -> NDArray[Any]:
    """Light that falls off to a third from one side to the other."""
    rows, columns = _grid(picture)
    angle = chance.uniform(0, 2 * np.pi)
    along = (rows - 0.5) * np.sin(angle) + (columns - 0.5) * np.cos(angle)
    part = (along - along.min()) / np.ptp(along)
    darker: NDArray[Any] = picture * (1 - part * chance.uniform(0.5, 0.7))
    return darker


def hard_shadow(picture: NDArray[Any], chance: np.random.Generator) -> NDArray[Any]:
    """A straight edge somewhere across the middle, behind which there is less light."""
    rows, columns = _grid(picture)
    angle = chance.uniform(0, 2 * np.pi)
    along = (rows - chance.uniform(0.3, 0.7)) * np.sin(angle) + (columns - chance.uniform(0.3, 0.7)) * np.cos(
        angle
    )
    return picture * np.where(along > 0, chance.uniform(0.4, 0.65), 1).astype(np.float32)


def hand_shadow(picture: NDArray[Any], chance: np.random.Generator) -> NDArray[Any]:
    """A shadow with corners and a soft edge."""
    side = picture.shape[0]
    image = Image.new("L", (side, side), 255)
    angles, middle = np.sort(chance.uniform(0, 2 * np.pi, 5)), chance.uniform(0.2, 0.8, 2)
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=1) * chance.uniform(0.15, 0.5, (5, 1))
    corners = [(float(x), float(y)) for x, y in (middle + rays) * side]
    ImageDraw.Draw(image).polygon(corners, fill=round(255 * chance.uniform(0.45, 0.7)))
    soft = image.filter(ImageFilter.GaussianBlur(side / 1000 * chance.uniform(0, 15)))
    return picture * np.asarray(soft, dtype=np.float32) / 255


def noise(sigma: float) -> Callable[[NDArray[Any], np.random.Generator], NDArray[Any]]:
    """Grain of the paper and of the camera."""

    def add(picture: NDArray[Any], chance: np.random.Generator) -> NDArray[Any]:
        return picture + chance.normal(0, sigma, picture.shape).astype(np.float32)

    return add


def ruled(
    spacing: float, level: float, *, thickness: float = 2, squared: bool = False, tilt: float = 0
) -> Callable[[NDArray[Any], np.random.Generator], NDArray[Any]]:
    """Lines of a darkness of `level`, 0 to 1, every `spacing` pixels of 1000, tilted by up to `tilt` degrees."""

    def draw(picture: NDArray[Any], chance: np.random.Generator) -> NDArray[Any]:
        rows, columns = (places * 1000 for places in _grid(picture))
        angle = np.deg2rad(chance.uniform(-tilt, tilt))
        across = [rows * np.cos(angle) + columns * np.sin(angle)]
        if squared:
            across.append(columns * np.cos(angle) - rows * np.sin(angle))
        for distance in across:
            place = (distance + chance.uniform(0, spacing)) % spacing
            line = np.clip(thickness / 2 + 0.5 - np.abs(place - spacing / 2), 0, 1)
            picture = picture * (1 - level * line)
        return picture.astype(np.float32)

    return draw


def desk(level: float, *, sides: int = 4) -> Callable[[NDArray[Any], np.random.Generator], NDArray[Any]]:
    """The sheet smaller, somewhat turned, on a desk with a grain, which shows on all sides or on one."""

    def put(picture: NDArray[Any], chance: np.random.Generator) -> NDArray[Any]:
        side = picture.shape[0]
        rows, columns = _grid(picture)
        grain = 6 * np.sin(rows * chance.uniform(60, 200) + 3 * np.sin(columns * 7)) + chance.normal(
            0, 4, picture.shape
        )
        desk_picture = Image.fromarray(np.clip(level + grain, 0, 255).astype(np.float32))
        if sides == 1:
            edge = chance.uniform(0.05, 0.2) * side
            slope = chance.uniform(-0.08, 0.08) * side
            corners = [(0, 0), (side, 0), (side, side), (0, side)]
            places = [(edge, -2), (side + 2, -2), (side + 2, side + 2), (edge + slope, side + 2)]
            turn = int(chance.integers(4))
            places = [places[(i - turn) % 4] for i in range(4)] if turn == 0 else _turned(places, turn, side)
            corners = corners if turn == 0 else _turned(corners, turn, side)
        else:
            corners = [(0, 0), (side, 0), (side, side), (0, side)]
            inset = chance.uniform(0.04, 0.16, (4, 2)) * side
            places = [
                (inset[0, 0], inset[0, 1]),
                (side - inset[1, 0], inset[1, 1]),
                (side - inset[2, 0], side - inset[2, 1]),
                (inset[3, 0], side - inset[3, 1]),
            ]
        coefficients = _perspective(places, corners)
        page = Image.fromarray(picture).transform(
            (side, side), Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR
        )
        shape = Image.new("L", (side, side))
        ImageDraw.Draw(shape).polygon(places, fill=255)
        page.paste(desk_picture, (0, 0), shape.point([255 - value for value in range(256)]))
        return np.asarray(page, dtype=np.float32)

    return put


def _turned(points: list[tuple[float, float]], turns: int, side: int) -> list[tuple[float, float]]:
    for _ in range(turns):
        points = [(side - y, x) for x, y in points]
    return points


def _perspective(to: list[tuple[float, float]], source: list[tuple[float, float]]) -> list[float]:
    rows, values = [], []
    for (x, y), (u, v) in zip(to, source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    solved: list[float] = np.linalg.solve(np.array(rows, dtype=float), np.array(values, dtype=float)).tolist()
    return solved


_PLAIN = Condition()
CONDITIONS: Mapping[str, Condition] = {
    "pen 40": replace(_PLAIN, pen=40),
    "pen 16": replace(_PLAIN, pen=16),
    "pen 8": replace(_PLAIN, pen=8),
    "pen 4": replace(_PLAIN, pen=4),
    "pen 80": replace(_PLAIN, pen=80),
    "falling light": replace(_PLAIN, over=(falling_light,)),
    "hard shadow": replace(_PLAIN, over=(hard_shadow,)),
    "hand's shadow": replace(_PLAIN, over=(hand_shadow,)),
    "marker in a shadow": replace(_PLAIN, pen=60, over=(hard_shadow,)),
    "gray lines": replace(_PLAIN, under=(ruled(60, 0.3),)),
    "blue lines": replace(_PLAIN, under=(ruled(40, 0.45, thickness=3, tilt=3),)),
    "dark lines": replace(_PLAIN, pen=8, under=(ruled(90, 0.7, thickness=3, tilt=2),)),
    "squared paper": replace(_PLAIN, under=(ruled(50, 0.35, squared=True, tilt=2),)),
    "noise 6": replace(_PLAIN, pen=8, over=(noise(6),)),
    "noise 12": replace(_PLAIN, over=(noise(12),)),
    "dark desk": replace(_PLAIN, over=(desk(50),)),
    "black desk": replace(_PLAIN, pen=8, over=(desk(12),)),
    "desk on one side": replace(_PLAIN, pen=8, over=(desk(80, sides=1), falling_light, noise(3))),
    "pencil": replace(_PLAIN, pen=8, ink=(120, 165), over=(noise(3),)),
    "warm light and JPEG": replace(_PLAIN, pen=8, tint=(1, 0.85, 0.6), over=(falling_light,), jpeg=40),
    "small sheet": replace(_PLAIN, side=400, over=(noise(4),)),
    "large sheet": replace(_PLAIN, side=3000, pen=4, over=(noise(6),)),
    "small digit": replace(_PLAIN, pen=5, digit_height=(0.12, 0.25), over=(falling_light,)),
    "all at once": replace(
        _PLAIN,
        pen=8,
        under=(ruled(55, 0.35, tilt=2),),
        over=(falling_light, hand_shadow, desk(60), noise(4)),
        jpeg=60,
    ),
}
