"""Take screenshots of pages of `export --html` for the README: a digit that is drawn, and a picture that is dropped.

python -m scripts.photograph_web_page
"""

import io
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser

import vision_zoo as vz
from scripts.browser import chromium
from scripts.drawing import THREE, draw
from vision_zoo.core import atomic

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
_PICTURE = ROOT / "vision_zoo" / "serving" / "demo" / "pictures" / "ship.png"
_COLOURS = 128


def photograph(browser: Browser, model: str, picture: Path | None, file: Path) -> None:
    """The page of `model` with the answer to a drawn 3, or to `picture`, as a small PNG."""
    with tempfile.TemporaryDirectory() as folder:
        page = browser.new_page(viewport={"width": 1120, "height": 690})
        page.goto(vz.export_html(model, Path(folder) / "page.html").path.as_uri())
        page.evaluate("window.visionZoo.ready")
        for _ in range(
            2
        ):  # browsers compile the model better while it runs: the second answer is as fast as later ones
            if picture is None:
                page.locator("#clear").click()
                draw(page, THREE)
            else:
                page.locator("#file").set_input_files(picture)
            page.locator(".card").wait_for()
            page.wait_for_timeout(3000)
        shot = Image.open(io.BytesIO(page.screenshot()))
    small = io.BytesIO()
    shot.convert("RGB").quantize(_COLOURS).save(small, "PNG", optimize=True)
    atomic.write_bytes(file, small.getvalue())


def main() -> None:
    with chromium() as browser:
        photograph(browser, "airbench-mnist", None, IMAGES / "html_digit.png")
        photograph(
            browser, "efficientnet_lite0_fine_tuned-cifar10-int8", _PICTURE, IMAGES / "html_picture.png"
        )


if __name__ == "__main__":
    main()
