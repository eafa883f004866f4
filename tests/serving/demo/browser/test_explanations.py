"""What mattered in an input, which never stands beside another one."""

import contextlib
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from scripts.drawing import SEVEN, THREE, draw


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


def _watch(page: Page, name: str) -> None:
    """Remember from now on what is painted of answers and of heat maps."""
    page.evaluate(
        """(name) => { window.said = []; window.heats = [];
             const look = () => {
               window.said.push(document.querySelector(`#${name}-answers`).innerText);
               const heat = document.querySelector(`#${name}-heat img`);
               if (heat !== null && getComputedStyle(heat).visibility === 'visible')
                 window.heats.push(heat.src.split(',')[0]);
               requestAnimationFrame(look); };
             look(); }""",
        name,
    )


def test_a_late_explanation_is_never_shown_beside_another_model(page: Page) -> None:
    held = _hold(page, "explain_drawing")
    draw(page, THREE)
    page.get_by_role("button", name="What mattered?").click()
    page.get_by_role("button", name="Show what mattered").click()
    while not held:
        page.wait_for_timeout(20)
    page.get_by_label("Model", exact=True).click()
    page.get_by_role("option", name="small_cnn-mnist").click()
    _watch(page, "digit")
    held[0].continue_()
    _explain(page, "digit")  # which is not begun before the late one has come
    heats = page.evaluate("window.heats")
    assert heats
    assert all("~small_cnn-mnist;" in heat for heat in heats)


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
    _watch(page, "picture")
    held[0].continue_()
    expect(summary).to_contain_text("Trouser")
    assert not any("ship" in text for text in page.evaluate("window.said"))
    if event == "explain_picture":
        _explain(page, "picture")  # which is not begun before the late one has come
        heats = page.evaluate("window.heats")
        assert heats
        assert all("fashion-mnist" in heat for heat in heats)
