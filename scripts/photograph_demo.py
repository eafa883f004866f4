"""Take the pictures of the page for the README: a running `vision-zoo demo`, a real browser, a digit drawn in it.

vision-zoo demo --port 7861 &
python scripts/photograph_demo.py http://127.0.0.1:7861
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
_THREE = (
    ((80, 60), (140, 40), (190, 70), (180, 110), (130, 130)),
    ((130, 130), (190, 150), (195, 200), (140, 235), (75, 215)),
)
_SIDE = 280


def draw(page: Page) -> None:
    """A 3 on the pad, in two strokes, and the answers to it."""
    page.wait_for_selector("#pad canvas", timeout=60_000)
    page.wait_for_timeout(1500)
    box = page.locator("#pad canvas").last.bounding_box()
    if box is None:
        sys.exit("error: the page has no pad")
    for stroke in _THREE:
        points = [
            (box["x"] + x * box["width"] / _SIDE, box["y"] + y * box["height"] / _SIDE) for x, y in stroke
        ]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=6)
        page.mouse.up()
    page.wait_for_selector("#digit-answers .vz-card")
    page.wait_for_timeout(2000)


def main() -> None:
    url = f"{sys.argv[1]}/demo/"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        desktop = browser.new_page(viewport={"width": 1180, "height": 900})
        desktop.goto(url)
        draw(desktop)
        desktop.screenshot(path=IMAGES / "demo.png", full_page=True)
        dark = browser.new_page(viewport={"width": 1180, "height": 900})
        dark.goto(f"{url}?__theme=dark")
        dark.get_by_role("tab", name="Drop an image").click()
        dark.locator(".grid-container button").nth(3).click()
        dark.wait_for_selector("#picture-answers .vz-card")
        dark.get_by_role("button", name="What mattered?").last.click()
        dark.get_by_role("button", name="Show what mattered").last.click()
        dark.wait_for_timeout(5000)
        dark.screenshot(path=IMAGES / "demo_drop.png", full_page=True)
        phone = browser.new_page(
            viewport={"width": 390, "height": 844}, device_scale_factor=2, has_touch=True, is_mobile=True
        )
        phone.goto(url)
        draw(phone)
        phone.screenshot(path=IMAGES / "demo_phone.png")
        browser.close()


if __name__ == "__main__":
    main()
