"""Nothing of the page is cut off, on a desktop and on a phone."""

from playwright.sync_api import Browser, Page, expect

from scripts.drawing import SEVEN, draw, wait_for_pad

_SIZES = ((1280, 800), (768, 1024), (390, 844), (360, 800))


def _excess(page: Page, selector: str) -> list[int]:
    """By how many pixels the content of each of these is wider than they are."""
    found = page.eval_on_selector_all(selector, "found => found.map(e => e.scrollWidth - e.clientWidth)")
    return [int(excess) for excess in found]


def _assert_nothing_is_cut(page: Page, tab: str, part: str, *more: str) -> None:
    button = page.get_by_role("tab", name=tab)
    if not button.first.is_visible():
        page.locator(".overflow-menu button").first.click()
        button = page.locator(".overflow-dropdown button", has_text=tab)
    button.first.click()
    expect(page.locator(part).first).to_be_visible()
    for selector in ("html", *more):
        excess = _excess(page, selector)
        assert excess
        assert set(excess) == {0}, (tab, selector, page.viewport_size)


def test_nothing_is_cut_off(browser: Browser, served: str) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(f"{served}/demo")
    wait_for_pad(page)
    draw(page, SEVEN)
    expect(page.locator("#digit-answers .card")).to_be_visible()
    for width, height in _SIZES:
        page.set_viewport_size({"width": width, "height": height})
        _assert_nothing_is_cut(page, "Draw a digit", "#pad canvas", "#digit-answers .one")
        _assert_nothing_is_cut(page, "Drop an image", "#examples img", "#examples .caption-label")
        _assert_nothing_is_cut(page, "Compare", "#compared svg circle", "#compared .compared")
        box = page.locator("#compared svg text").first.bounding_box()
        assert box is not None
        assert box["height"] >= 9  # can be read
    page.close()


def test_a_desktop_shows_all_on_one_screen(browser: Browser, served: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"{served}/demo")
    wait_for_pad(page)
    draw(page, SEVEN)
    expect(page.locator("#digit-answers .card")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    canvas, view = page.locator("#pad canvas").bounding_box(), page.locator(".view").bounding_box()
    assert canvas is not None
    assert view is not None
    assert min(canvas["width"], canvas["height"]) >= 500
    assert view["y"] < canvas["y"] + canvas["height"]
    page.close()
