"""What people do with the pad, with a mouse, a finger and the keyboard."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from scripts.drawing import SEVEN, THREE, draw, draw_by_touch


def test_a_three_drawn_stroke_by_stroke_is_read_and_cleared(page: Page) -> None:
    shown = page.locator("#digit-answers")
    expect(shown).to_contain_text("Draw a digit")
    draw(page, THREE[:1])
    expect(shown.locator(".card").first).to_be_visible()
    draw(page, THREE[1:])
    expect(shown.locator(".said")).to_contain_text("says 3")
    assert shown.locator(".models tbody tr").count() >= 5
    expect(shown.get_by_role("row", name=re.compile("^simple_cnn-mnist 3 "))).to_have_count(1)
    expect(shown.get_by_alt_text("What airbench-mnist sees: 28 × 28 pixels")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(shown).to_contain_text("Draw a digit")


@pytest.mark.parametrize("hand", ["mouse", "finger"])
def test_after_clearing_the_pad_is_drawn_on_again(request: pytest.FixtureRequest, hand: str) -> None:
    by_mouse = hand == "mouse"
    page: Page = request.getfixturevalue("page" if by_mouse else "phone")
    stroke: Callable[..., None] = draw if by_mouse else draw_by_touch
    summary = page.locator("#digit-answers .said")
    for strokes, digit in ((THREE, "3"), (SEVEN, "7")):
        stroke(page, strokes)
        expect(summary).to_contain_text(f"says {digit}")
        clear = page.get_by_role("button", name="Clear")
        clear.click() if by_mouse else clear.tap()
        expect(page.locator("#digit-answers")).to_contain_text("Draw a digit")


def test_strokes_are_undone_redone_and_cleared(page: Page) -> None:
    shown, summary = page.locator("#digit-answers"), page.locator("#digit-answers .said")
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    draw(page, SEVEN)
    expect(summary).to_contain_text("says 7")
    page.get_by_role("button", name="Undo").click()
    expect(shown).to_contain_text("Draw a digit")
    page.get_by_role("button", name="Redo").click()
    expect(summary).to_contain_text("says 7")
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("button", name="Undo").click()
    expect(summary).to_contain_text("says 7")
    page.locator("#pad canvas").focus()
    page.keyboard.press("Control+z")
    expect(shown).to_contain_text("Draw a digit")
    page.keyboard.press("Control+Shift+z")
    expect(summary).to_contain_text("says 7")
    page.keyboard.press("Escape")
    expect(shown).to_contain_text("Draw a digit")
    leaning = [*["ArrowDown"] * 4, "ArrowLeft"] * 3
    for key in (*["ArrowUp"] * 6, "ArrowRight", "Space", *leaning, "Space"):
        page.keyboard.press(key)
    expect(summary).to_contain_text("says 1")


def test_a_stroke_is_one_request(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.method == "POST" else None)
    for number, stroke in enumerate(THREE, 1):
        draw(page, [stroke])
        expect(page.locator("#digit-answers .late")).to_have_count(0)
        expect(page.locator("#digit-answers .card")).to_be_visible()
        assert len(asked) == number


def test_prediction_sets_are_shown_where_they_are_asked_for(page: Page) -> None:
    shown, choice = page.locator("#digit-answers"), page.get_by_label("Prediction set")
    label, labels = shown.locator(".label"), shown.locator(".set")
    draw(page, THREE)
    expect(label).to_have_text("3", use_inner_text=True)
    expect(labels).not_to_be_visible()
    choice.select_option("80 % prediction set")
    expect(labels).to_have_text("80 % set: 3", use_inner_text=True)
    choice.select_option("99 % prediction set")
    expect(labels).to_have_text(re.compile(r"^99 % set: 3(, \d){9}$"), use_inner_text=True)
    page.get_by_role("button", name="Clear").click()
    draw(page, SEVEN)  # the choice is also of the next answer
    expect(labels).to_have_text(re.compile(r"^99 % set: 7(, \d){9}$"), use_inner_text=True)
    choice.select_option("No prediction set")
    expect(labels).not_to_be_visible()


def test_several_digits_are_no_answer(page: Page) -> None:
    draw(page, [((x, 60), (x, 230)) for x in (60, 220)])
    expect(page.locator("#digit-answers .said")).to_contain_text("Unsure: the image has 2 separate shapes")


def test_a_digit_that_leaves_the_pad_is_read_whole(page: Page) -> None:
    draw(page, [tuple((x, y + 120) for x, y in stroke) for stroke in THREE])
    expect(page.locator("#digit-answers .said")).to_contain_text("says 3")


def test_a_phone_shows_all_without_scrolling_sideways(phone: Page) -> None:
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    draw_by_touch(phone, THREE)
    expect(phone.locator("#digit-answers .said")).to_contain_text("says 3")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_tabs_are_reached_by_keyboard(page: Page) -> None:
    page.get_by_role("tab", name="Draw a digit").focus()
    page.keyboard.press("Tab")
    for _ in range(12):
        if page.evaluate("document.activeElement?.textContent?.trim()") == "Compare":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#compared svg circle").first).to_be_visible()
