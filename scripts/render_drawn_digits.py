r"""Render `tests/data/drawn_digits.png`: digits in other hands than MNIST's, as people draw them on a pad.

Handwriting-like fonts of Debian packages, each digit turned, sheared, scaled, moved, thickened or thinned at random.
The picture is a grid of light-on-dark tiles, a row a font and variant, a column a digit; the tests read it and need no
fonts.

    apt-get install fonts-breip fonts-bwht fonts-humor-sans fonts-dkg-handwriting fonts-kristi fonts-comic-neue \
        fonts-dancingscript
    python scripts/render_drawn_digits.py
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

ROOT = Path(__file__).resolve().parent.parent
TILE = 70
_PAD = 280
_VARIANTS = 2
_FONTS = (
    "truetype/breip/breipfont.ttf",
    "opentype/bwht/BecauseWeBuild-Regular.otf",
    "opentype/bwht/BecauseWeConnect-Regular.otf",
    "opentype/bwht/BecauseWeCreate-Regular.otf",
    "opentype/bwht/BecauseWeLearn-Regular.otf",
    "opentype/bwht/BecauseWeMentor-Regular.otf",
    "opentype/bwht/BecauseWeOrganize-Regular.otf",
    "truetype/humor-sans/Humor-Sans.ttf",
    "truetype/fifthhorseman/dkg.ttf",
    "truetype/fifthhorseman/dkgBd.ttf",
    "truetype/kristi/Kristi.ttf",
    "opentype/comic-neue/ComicNeue-Regular.otf",
    "opentype/comic-neue/ComicNeue-Light.otf",
    "opentype/dancingscript/DancingScript-Regular.otf",
)


def drawn(digit: int, font: Path, random: np.random.Generator) -> Image.Image:
    """A digit somewhere on a pad of 280 pixels, light on dark."""
    large = Image.new("L", (_PAD * 2, _PAD * 2))
    pen = ImageDraw.Draw(large)
    pen.text((_PAD, _PAD), str(digit), font=ImageFont.truetype(str(font), 260), fill=255, anchor="mm")
    left, top, right, bottom = large.getbbox() or (0, 0, 1, 1)
    height = random.uniform(90, 230)
    scale = (bottom - top) / height
    angle, shear = np.deg2rad(random.uniform(-15, 15)), random.uniform(-0.2, 0.2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = scale * turn @ np.array([[1, shear], [0, random.uniform(0.9, 1.1)]])
    margin = height / 2 + 20
    middle = random.uniform(min(margin, _PAD / 2), max(_PAD - margin, _PAD / 2), 2)
    offset = np.array([(left + right) / 2, (top + bottom) / 2]) - matrix @ middle
    coefficients = (*matrix[0], offset[0], *matrix[1], offset[1])
    tile = large.transform((_PAD, _PAD), Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC)
    thickness = int(random.integers(-1, 4))
    if thickness > 0:
        tile = tile.filter(ImageFilter.MaxFilter(2 * thickness + 1))
    elif thickness < 0 and height > 160:
        tile = tile.filter(ImageFilter.MinFilter(3))
    return tile.resize((TILE, TILE), Image.Resampling.BOX)


def main() -> None:
    random = np.random.default_rng(0)
    fonts = [Path("/usr/share/fonts") / name for name in _FONTS for _ in range(_VARIANTS)]
    sheet = Image.new("L", (10 * TILE, len(fonts) * TILE))
    for row, font in enumerate(fonts):
        for digit in range(10):
            sheet.paste(drawn(digit, font, random), (digit * TILE, row * TILE))
    path = ROOT / "tests" / "data" / "drawn_digits.png"
    path.parent.mkdir(exist_ok=True)
    sheet.save(path, optimize=True)


if __name__ == "__main__":
    main()
