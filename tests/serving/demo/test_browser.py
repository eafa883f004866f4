"""The page in a real browser: what people do with it."""

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from scripts.drawing import SEVEN, THREE, draw, draw_by_touch, wait_for_pad
from tests.serving.demo.conftest import Demo


@pytest.fixture(scope="module")
def desktop(browser: Browser) -> Iterator[Page]:
    """One page for all tests: what it has loaded is not loaded and compiled again."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def handset(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    yield opened
    opened.close()


@pytest.fixture
def page(desktop: Page, served: str) -> Iterator[Page]:
    """The page on a desktop; at the end nothing has gone wrong in it, and nothing came from elsewhere."""
    wrong: list[str] = []
    watched: dict[Any, Callable[[Any], None]] = {
        "console": lambda message: wrong.append(message.text) if message.type == "error" else None,
        "pageerror": lambda error: wrong.append(str(error)),
        "response": lambda response: wrong.append(response.url) if response.status >= 400 else None,
        "request": lambda request: (
            None if request.url.startswith((served, "data:", "blob:")) else wrong.append(request.url)
        ),
    }
    for event, look in watched.items():
        desktop.on(event, look)
    desktop.goto(f"{served}/demo")
    wait_for_pad(desktop)
    yield desktop
    for event, look in watched.items():
        desktop.remove_listener(event, look)
    desktop.unroute_all()
    desktop.goto("about:blank")
    assert wrong == []


@pytest.fixture
def phone(handset: Page, served: str) -> Iterator[Page]:
    handset.goto(f"{served}/demo")
    wait_for_pad(handset)
    yield handset
    handset.goto("about:blank")


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
    for strokes, digit in ((THREE, "3"), (SEVEN, "7"), (THREE, "3")):
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
    for key in (*["ArrowUp"] * 7, "Space", *["ArrowDown"] * 14, "Space"):
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


def _explain(page: Page, name: str) -> None:
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


def _nothing_is_shown(page: Page, name: str) -> None:
    expect(page.locator(f"#{name}-answers .card")).to_have_count(0)
    expect(page.locator(f"#{name}-heat img")).to_have_count(0)


def test_a_new_drawing_has_no_heat_map_of_the_last(page: Page) -> None:
    draw(page, THREE)
    _explain(page, "digit")
    page.get_by_role("button", name="Clear").click()
    _nothing_is_shown(page, "digit")
    draw(page, SEVEN)
    _explain(page, "digit")
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
    _explain(page, "digit")
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


def test_an_example_brings_its_dataset_along(page: Page) -> None:
    page.get_by_role("tab", name="Drop an image").click()
    summary, examples = page.locator("#picture-answers .said"), page.locator(".grid-container button")
    expect(page.get_by_label("cifar10", exact=True).first).to_be_checked()
    for place, dataset, label in (
        (0, "cifar10", "ship"),
        (2, "fashion-mnist", "Trouser"),
        (0, "cifar10", "ship"),
    ):
        examples.nth(place).click()
        expect(page.get_by_label(dataset, exact=True).first).to_be_checked()
        expect(summary).to_contain_text(label)


def test_a_new_picture_has_nothing_of_the_last(page: Page, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    page.get_by_role("tab", name="Drop an image").click()
    file = page.locator("#picture input[type=file]").first

    def show_the_ship() -> None:
        page.locator(".grid-container button").first.click()
        expect(page.locator("#picture-answers .said")).to_contain_text("ship")
        _explain(page, "picture")

    show_the_ship()
    page.get_by_label("fashion-mnist", exact=True).first.check()
    expect(page.locator("#picture-heat img")).to_have_count(0)
    expect(page.locator("#picture-answers .card").first).to_contain_text("fashion")
    show_the_ship()
    page.get_by_label("Remove Image").click()
    _nothing_is_shown(page, "picture")
    file.set_input_files(str(broken))
    expect(page.locator("#picture-answers")).to_contain_text("not a readable image")
    _nothing_is_shown(page, "picture")


def _hold(page: Page, event: str) -> list[Route]:
    """The first request for an event, held back from now on."""
    (number,) = [
        dependency["id"]
        for dependency in page.evaluate("window.gradio_config.dependencies")
        if dependency["api_name"] == event
    ]
    held: list[Route] = []

    def hold(route: Route) -> None:
        if (route.request.post_data_json or {}).get("fn_index") == number and not held:
            held.append(route)
        else:
            route.continue_()

    page.route("**/queue/join*", hold)
    return held


def _watch(page: Page) -> None:
    """Remember from now on what is painted of answers and of heat maps."""
    page.evaluate(
        """() => { window.said = []; window.heats = [];
             const look = () => {
               window.said.push(document.querySelector('#picture-answers').innerText);
               const heat = document.querySelector('#picture-heat img');
               if (heat !== null && getComputedStyle(heat).visibility === 'visible')
                 window.heats.push(heat.src.split(',')[0]);
               requestAnimationFrame(look); };
             look(); }"""
    )


@pytest.mark.parametrize("event", ["classify", "explain_picture"])
def test_a_late_answer_is_never_shown_beside_a_newer_picture(page: Page, event: str) -> None:
    held = _hold(page, event)
    page.get_by_role("tab", name="Drop an image").click()
    examples, summary = page.locator(".grid-container button"), page.locator("#picture-answers .said")
    examples.nth(0).click()
    if event == "explain_picture":
        expect(summary).to_contain_text("ship")
        page.get_by_role("button", name="What mattered?").click()
        page.get_by_role("button", name="Show what mattered").click()
    while not held:
        page.wait_for_timeout(20)  # lets the browser's requests in
    examples.nth(2).click()
    expect(page.get_by_label("fashion-mnist", exact=True).first).to_be_checked()
    expect(page.locator("#picture-answers")).not_to_contain_text("ship")
    _watch(page)
    held[0].continue_()
    expect(summary).to_contain_text("Trouser")
    assert not any("ship" in text for text in page.evaluate("window.said"))
    if event == "explain_picture":
        _explain(page, "picture")  # which is not begun before the late one has come
        heats = page.evaluate("window.heats")
        assert heats
        assert all("fashion-mnist" in heat for heat in heats)


def test_a_broken_upload_is_one_friendly_line(page: Page, demo: Demo, tmp_path: Path) -> None:
    page.get_by_role("tab", name="Drop an image").click()
    for name, content in (
        ("a.png", b"\x89PNG\r\n\x1a\nno"),
        ("b.jpg", b""),
        ("c.png", b"GIF89a"),
        ("d.svg", b"<svg/>"),
    ):
        file = tmp_path / name
        file.write_bytes(content)
        page.locator("#picture input[type=file]").first.set_input_files(str(file))
        expect(page.locator("#picture-answers")).to_contain_text("image")
        assert page.locator("#picture-answers p").count() == 1
        expect(page.locator(".toast-body")).to_have_count(0)
        page.get_by_label("Remove Image").click()
        expect(page.locator("#picture-answers")).to_contain_text("Choose or drop")
    assert "Traceback" not in demo.log.read_text()


def test_models_are_compared(page: Page) -> None:
    page.get_by_role("tab", name="Compare").click()
    expect(page.locator("#compared svg circle").first).to_be_visible()
    expect(page.locator("#measured")).to_contain_text("Measured on")
    rows = page.locator("#compared tbody tr")
    page.get_by_role("radio", name="cifar10", exact=True).last.check()
    expect(rows.first).to_contain_text("cifar10")
    expect(page.locator("#compared circle")).to_have_count(rows.count())
    expect(rows.filter(has_text="mnist")).to_have_count(0)


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
