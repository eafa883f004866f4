"""Answers of the page that come late, in a real browser: none is shown beside another input or model."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from scripts.drawing import THREE, draw
from tests.serving.demo.browser.test_explanations import explain, nothing_is_shown


def test_a_new_picture_has_nothing_of_the_last(page: Page, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    page.get_by_role("tab", name="Drop an image").click()
    file = page.locator("#picture input[type=file]").first

    def show_the_ship() -> None:
        page.locator(".grid-container button").first.click()
        expect(page.locator("#picture-answers .said")).to_contain_text("ship")
        explain(page, "picture")

    show_the_ship()
    page.get_by_label("fashion-mnist", exact=True).first.check()
    expect(page.locator("#picture-heat img")).to_have_count(0)
    expect(page.locator("#picture-answers .card").first).to_contain_text("fashion")
    show_the_ship()
    page.get_by_label("Remove Image").click()
    nothing_is_shown(page, "picture")
    file.set_input_files(str(broken))
    expect(page.locator("#picture-answers")).to_contain_text("not a readable image")
    nothing_is_shown(page, "picture")


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
    explain(page, "digit")  # which is not begun before the late one has come
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
        explain(page, "picture")  # which is not begun before the late one has come
        heats = page.evaluate("window.heats")
        assert heats
        assert all("fashion-mnist" in heat for heat in heats)
