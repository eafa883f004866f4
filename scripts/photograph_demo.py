"""Take screenshots of the page for the documents: a running `vision-zoo demo`, a real browser, a digit drawn in it.

vision-zoo demo --port 7861 &
python -m scripts.photograph_demo http://127.0.0.1:7861
"""

import sys
from pathlib import Path

from playwright.sync_api import Page, ViewportSize

from scripts.browser import chromium
from scripts.drawing import THREE, draw, wait_for_pad

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
_DESKTOP: ViewportSize = {"width": 1280, "height": 800}


def draw_a_three(page: Page) -> None:
    """A 3 on the pad, in two strokes, and the answers to it."""
    wait_for_pad(page)
    draw(page, THREE)
    page.wait_for_selector("#digit-answers .card")
    page.wait_for_timeout(2000)


def main() -> None:
    url = f"{sys.argv[1]}/demo/"
    with chromium() as browser:
        desktop = browser.new_page(viewport=_DESKTOP)
        desktop.goto(url)
        draw_a_three(desktop)
        desktop.screenshot(path=IMAGES / "demo.png", full_page=True)
        dark = browser.new_page(viewport=_DESKTOP, color_scheme="dark")
        dark.goto(url)
        dark.get_by_role("tab", name="Drop an image").click()
        dark.locator("#examples button").first.click()
        dark.wait_for_selector("#picture-answers .card")
        dark.get_by_role("button", name="What mattered?").last.click()
        dark.get_by_role("button", name="Show what mattered").last.click()
        dark.wait_for_selector("#picture-heat img")
        dark.wait_for_timeout(1000)
        dark.screenshot(path=IMAGES / "demo_drop.png", full_page=True)
        phone = browser.new_page(
            viewport={"width": 390, "height": 844}, device_scale_factor=2, has_touch=True, is_mobile=True
        )
        phone.goto(url)
        draw_a_three(phone)
        phone.screenshot(path=IMAGES / "demo_phone.png")


if __name__ == "__main__":
    main()
