"""The page in a real browser: what people do with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.serving.demo.drawing import THREE, draw, wait_for_pad

_SLOW = 20_000


@pytest.fixture
def page(browser: Browser, served: str) -> Iterator[Page]:
    """The page on a desktop; at the end nothing has gone wrong in it, and nothing came from elsewhere."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    wrong: list[str] = []
    opened.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("response", lambda response: wrong.append(response.url) if response.status >= 400 else None)
    opened.on(
        "request",
        lambda request: (
            None if request.url.startswith((served, "data:", "blob:")) else wrong.append(request.url)
        ),
    )
    _open(opened, served)
    yield opened
    opened.close()
    assert wrong == []


def _open(page: Page, url: str) -> None:
    page.goto(f"{url}/demo")
    wait_for_pad(page)


def test_a_three_drawn_stroke_by_stroke_is_read_and_cleared(page: Page) -> None:
    shown = page.locator("#digit-answers")
    expect(shown).to_contain_text("Draw a digit")
    draw(page, THREE[:1])
    expect(shown.locator(".vz-card").first).to_be_visible(timeout=_SLOW)
    draw(page, THREE[1:])
    expect(shown.locator(".vz-summary")).to_contain_text("models say 3", timeout=_SLOW)
    assert shown.locator(".vz-card").count() >= 5
    assert page.get_by_label("simple_cnn-mnist: 3").count() == 1
    page.get_by_label("Clear canvas").click()
    expect(shown).to_contain_text("Draw a digit", timeout=_SLOW)


def test_a_picture_is_uploaded_and_explained(page: Page, digit_png: Path) -> None:
    page.get_by_role("tab", name="Drop an image").click()
    page.get_by_label("mnist", exact=True).first.check()
    page.locator("#picture input[type=file]").first.set_input_files(str(digit_png))
    expect(page.locator("#picture-answers .vz-summary")).to_contain_text("models say 7", timeout=_SLOW)
    page.get_by_role("button", name="What mattered?").last.click()
    page.get_by_role("button", name="Show what mattered").last.click()
    expect(page.locator("img[alt='']").last.or_(page.locator(".image-frame img").last)).to_be_visible(
        timeout=_SLOW
    )


def test_an_example_is_clicked(page: Page) -> None:
    page.get_by_role("tab", name="Drop an image").click()
    page.get_by_label("fashion-mnist", exact=True).first.check()
    page.locator(".grid-container button").first.click()
    expect(page.locator("#picture-answers .vz-summary")).to_contain_text("Trouser", timeout=_SLOW)


def test_models_are_compared(page: Page) -> None:
    page.get_by_role("tab", name="Compare").click()
    expect(page.locator("#scatter svg circle").first).to_be_visible(timeout=_SLOW)
    expect(page.locator("#measured")).to_contain_text("Measured on")


def test_a_phone_shows_all_without_scrolling_sideways(browser: Browser, served: str) -> None:
    phone = browser.new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    _open(phone, served)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    draw(phone, THREE)
    expect(phone.locator("#digit-answers .vz-summary")).to_contain_text("say 3", timeout=_SLOW)
    phone.close()


def test_the_tabs_are_reached_by_keyboard(page: Page) -> None:
    page.get_by_role("tab", name="Draw a digit").focus()
    page.keyboard.press("Tab")
    for _ in range(12):
        if page.evaluate("document.activeElement?.textContent?.trim()") == "Compare":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#scatter svg circle").first).to_be_visible(timeout=_SLOW)
