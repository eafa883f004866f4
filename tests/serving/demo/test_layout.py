"""Nothing of the page is cut off, on a desktop and on a phone."""

import pytest
from playwright.sync_api import Browser, Page, expect

from scripts.drawing import wait_for_pad

_PHONE, _DESKTOP = 360, 1200


def _excess(page: Page, selector: str) -> list[int]:
    """By how many pixels the content of each of these is wider than they are."""
    found = page.eval_on_selector_all(selector, "found => found.map(e => e.scrollWidth - e.clientWidth)")
    return [int(excess) for excess in found]


def _open_tab(page: Page, name: str) -> None:
    tab = page.get_by_role("tab", name=name)
    if not tab.first.is_visible():
        page.locator(".overflow-menu button").first.click()
        tab = page.locator(".overflow-dropdown button", has_text=name)
    tab.first.click()


@pytest.mark.parametrize("width", [_DESKTOP, _PHONE])
def test_nothing_is_cut_off(browser: Browser, served: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(f"{served}/demo")
    wait_for_pad(page)
    assert _excess(page, "html") == [0]
    _open_tab(page, "Drop an image")
    expect(page.locator("#examples .grid-container img").first).to_be_visible()
    assert _excess(page, "html") == [0]
    assert _excess(page, "#examples .grid-wrap") == [0]
    _open_tab(page, "Compare")
    expect(page.locator("#scatter svg circle").first).to_be_visible()
    assert _excess(page, "html") == [0]
    if width == _DESKTOP:
        expect(page.locator(".virtual-table-viewport")).to_be_visible()
        assert _excess(page, ".virtual-table-viewport") == [0]
    else:
        box = page.locator("#scatter svg text").first.bounding_box()
        assert box is not None
        assert box["height"] >= 9  # can be read; the plot scrolls
    page.close()
