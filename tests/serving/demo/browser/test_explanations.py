"""What mattered in an input, which never stands beside another one; late answers in `soak/page/test_late_answers.py`."""

import contextlib
from pathlib import Path

from playwright.sync_api import Page, expect

from scripts.drawing import SEVEN, THREE, draw


def explain(page: Page, name: str) -> None:
    """Show what mattered, and wait for it."""
    button = page.get_by_role("button", name="Show what mattered")
    if button.count() == 0:
        page.get_by_role("button", name="What mattered?").click()
    heat = page.locator(f"#{name}-heat img")
    for _ in range(600):
        button.click()  # of no effect while an earlier one is not answered
        with contextlib.suppress(AssertionError):
            expect(heat).to_be_visible(timeout=500)
            return
    raise AssertionError("no heat map")


def nothing_is_shown(page: Page, name: str) -> None:
    expect(page.locator(f"#{name}-answers .card")).to_have_count(0)
    expect(page.locator(f"#{name}-heat img")).to_have_count(0)


def test_a_new_drawing_has_no_heat_map_of_the_last(page: Page) -> None:
    draw(page, THREE)
    explain(page, "digit")
    page.get_by_role("button", name="Clear").click()
    nothing_is_shown(page, "digit")
    draw(page, SEVEN)
    explain(page, "digit")
    page.locator("#pad canvas").scroll_into_view_if_needed()
    box = page.locator("#pad canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()  # no stroke yet, but another drawing
    assert page.locator("#digit-answers .late").count() == 1
    expect(page.locator("#digit-heat img")).not_to_be_visible()
    page.mouse.up()
    expect(page.locator("#digit-answers .late")).to_have_count(0)
    expect(page.locator("#digit-heat img")).to_have_count(0)
    explain(page, "digit")
    page.get_by_label("Model", exact=True).click()
    page.get_by_role("option", name="small_cnn-mnist").click()
    expect(page.locator("#digit-heat img")).to_have_count(0)


def test_a_picture_is_uploaded_and_explained(page: Page, digit_png: Path) -> None:
    page.get_by_role("tab", name="Drop an image").click()
    page.get_by_label("mnist", exact=True).first.check()
    page.locator("#picture input[type=file]").first.set_input_files(str(digit_png))
    expect(page.locator("#picture-answers .said")).to_contain_text("says 7")
    page.get_by_role("button", name="What mattered?").last.click()
    page.get_by_role("button", name="Show what mattered").last.click()
    expect(page.locator("img[alt='']").last.or_(page.locator(".image-frame img").last)).to_be_visible()
