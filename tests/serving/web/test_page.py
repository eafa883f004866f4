"""The page in a real browser, from a file and without a network."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from scripts.drawing import SEVEN, THREE, draw, draw_by_touch
from tests.conftest import ROOT
from tests.serving.web.conftest import SEVERAL, opened, shipped
from vision_zoo.core.errors import ModelError, UsageError
from vision_zoo.images.preprocess import open_image, prepare
from vision_zoo.serving.predict import classify_file
from vision_zoo.serving.session import Session
from vision_zoo.serving.web.page import write_page

_MOST_BYTES = 6_000_000
_SHIP = ROOT / "vision_zoo" / "serving" / "demo" / "pictures" / "ship.png"


def test_a_drawn_three_is_read_without_a_network(one: Page, one_file: Path) -> None:
    assert one_file.stat().st_size <= _MOST_BYTES
    expect(one.locator("#said")).to_have_text("Draw a digit, large.")
    draw(one, THREE)
    expect(one.locator("#said")).to_contain_text("The model says 3")
    expect(one.locator(".label")).to_have_text("3")
    assert one.locator(".bar").count() == 10
    expect(one.locator(".view")).to_have_attribute("aria-label", "What airbench-mnist sees: 28 × 28 pixels")
    expect(one.locator(".facts")).to_have_text(re.compile(r"^\d+\.\d ms · 99\.\d\d % of 10,000 test images$"))


def test_every_stroke_is_answered_undone_redone_and_cleared(one: Page) -> None:
    said, undo, redo = one.locator("#said"), one.locator("#undo"), one.locator("#redo")
    draw(one, SEVEN)
    expect(said).to_contain_text("The model says 7")
    expect(redo).to_be_disabled()
    undo.click()
    expect(said).to_have_text("Draw a digit, large.")
    redo.click()
    expect(said).to_contain_text("The model says 7")
    one.keyboard.press("Control+z")
    expect(said).to_have_text("Draw a digit, large.")
    draw(one, THREE)
    expect(said).to_contain_text("The model says 3")
    one.keyboard.press("Escape")
    expect(said).to_have_text("Draw a digit, large.")
    assert one.locator(".card").count() == 0
    undo.click()
    expect(said).to_contain_text("The model says 3")


def test_a_one_is_drawn_with_the_keyboard(one: Page) -> None:
    one.locator("#pad").focus()
    for _ in range(7):
        one.keyboard.press("ArrowUp")
    one.keyboard.press("Space")
    for _ in range(14):
        one.keyboard.press("ArrowDown")
    assert one.locator(".card").count() == 0
    one.keyboard.press("Space")
    expect(one.locator("#said")).to_contain_text("The model says 1")


def test_all_models_of_digits_answer_a_drawing_and_all_models_a_picture(several: Page) -> None:
    draw(several, THREE)
    expect(several.locator("#said")).to_have_text("All 2 models say 3.")
    several.locator("#file").set_input_files(_SHIP)
    cards = several.locator(".card")
    expect(several.get_by_label(re.compile("^simple_cnn-cifar10: ship"))).to_be_visible()
    expect(several.get_by_alt_text("ship.png")).to_be_visible()
    for number in range(cards.count()):
        name, label = cards.nth(number).get_attribute("aria-label").split(": ")  # type: ignore[union-attr]
        session = Session(*shipped(name), provider="cpu")
        assert label.split(",")[0] == classify_file(session, _SHIP)["label"]
    several.locator("#clear").click()
    expect(several.locator("#pad")).to_be_visible()
    expect(several.locator("#said")).to_have_text("Draw a digit, large.")


def _transfer(page: Page, event: str, content: bytes, name: str) -> None:
    """Drop or paste a file."""
    page.evaluate(
        """([event, content, name]) => {
          const transfer = new DataTransfer();
          const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
          transfer.items.add(new File([bytes], name, { type: "image/png" }));
          const options = { dataTransfer: transfer, clipboardData: transfer, bubbles: true, cancelable: true };
          document.body.dispatchEvent(new (event === "drop" ? DragEvent : ClipboardEvent)(event, options));
        }""",
        [event, base64.b64encode(content).decode(), name],
    )


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_digit_is_dropped_and_pasted(one: Page, event: str, digit_png: Path) -> None:
    _transfer(one, event, digit_png.read_bytes(), "seven.png")
    expect(one.locator("#said")).to_contain_text("The model says 7")
    one.locator("#clear").click()
    draw(one, THREE)
    expect(one.locator("#said")).to_contain_text("The model says 3")


def test_what_cannot_be_read_is_said(one: Page) -> None:
    _transfer(one, "drop", b"no picture", "notes.png")
    expect(one.locator("#said")).to_contain_text("notes.png is no picture that this browser can read")
    blank = io.BytesIO()
    Image.new("L", (300, 300), 255).save(blank, "PNG")
    _transfer(one, "drop", blank.getvalue(), "blank.png")
    expect(one.locator("#said")).to_have_text("There is no digit; expected one on a plain background.")


def test_a_picture_unlike_the_training_data_is_warned_of(several: Page, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    for name, pixels in {"noise": noise, "gray": np.full_like(noise, 120)}.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        several.locator("#file").set_input_files(tmp_path / f"{name}.png")
        expect(several.get_by_alt_text(f"{name}.png")).to_be_visible()
        several.evaluate("new Promise((next) => setTimeout(next, 0))")
        cards = several.locator(".card")
        expect(several.locator("#said")).to_contain_text("say")
    warned = {
        str(cards.nth(number).locator("h2").text_content()): cards.nth(number).locator(".warning").count()
        for number in range(cards.count())
    }
    for name, count in warned.items():
        session = Session(*shipped(name), provider="cpu")
        pixels = prepare(open_image(str(tmp_path / "gray.png")), session.metadata.input)[None]
        familiar = session.are_familiar(pixels, session.predict(pixels).logits)
        assert familiar is not None
        assert bool(count) is not bool(familiar[0])
    assert any(warned.values())


def test_a_phone_in_the_dark_draws_with_a_finger(browser: Browser, one_file: Path) -> None:
    for page in opened(
        browser,
        one_file,
        viewport={"width": 320, "height": 640},
        has_touch=True,
        is_mobile=True,
        color_scheme="dark",
    ):
        draw_by_touch(page, THREE)
        expect(page.locator("#said")).to_contain_text("The model says 3")
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        ground, ink = page.evaluate("(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))")
        assert sum(map(int, re.findall(r"\d+", ground))) < 150 < sum(map(int, re.findall(r"\d+", ink)))


def test_a_class_sees_all_on_one_screen(one: Page) -> None:
    draw(one, THREE)
    expect(one.locator(".card")).to_be_visible()
    assert one.evaluate("document.documentElement.scrollHeight <= innerHeight")
    box = one.locator("#pad").bounding_box()
    assert box is not None
    assert min(box["width"], box["height"]) >= 500


def test_everything_has_a_name_for_screen_readers(one: Page) -> None:
    seen = one.locator("body").aria_snapshot()
    for part in (
        'application "Drawing pad"',
        'button "Undo"',
        'button "Clear"',
        'button "Picture…"',
        'button "Camera"',
        "status",
    ):
        assert part in seen
    draw(one, THREE)
    expect(one.get_by_role("article", name=re.compile(r"airbench-mnist: 3, \d"))).to_be_visible()
    assert one.get_by_role("listitem").count() == 10


_CAMERA = """
navigator.mediaDevices.getUserMedia = async () => {
  const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
  Object.assign(canvas, { width: 640, height: 480 });
  setInterval(() => {
    context.fillStyle = "#e8e6e0";
    context.fillRect(0, 0, 640, 480);
    context.lineWidth = 14;
    context.stroke(new Path2D("M 270 120 H 380 Q 330 220 320 360"));
  }, 50);
  return canvas.captureStream(20);
};
"""


def test_the_cameras_picture_is_answered_until_it_is_stopped(browser: Browser, one_file: Path) -> None:
    for page in opened(browser, one_file, before=_CAMERA):
        camera = page.get_by_role("button", name="Camera")
        camera.click()
        expect(page.locator("#said")).to_contain_text("The model says 7")
        expect(camera).to_have_attribute("aria-pressed", "true")
        expect(page.locator("#video")).to_be_visible()
        camera.click()
        expect(camera).to_have_attribute("aria-pressed", "false")
        expect(page.locator("#pad")).to_be_visible()
        expect(page.locator("#said")).to_have_text("Draw a digit, large.")


def test_without_a_camera_that_is_said(one: Page) -> None:
    one.get_by_role("button", name="Camera").click()
    expect(one.locator("#said")).to_have_text("There is no camera, or the page may not use it.")


def test_labels_are_text_and_no_markup(several_file: Path) -> None:
    written = several_file.read_text()
    about = written.partition('id="about">')[2].partition("</script>")[0]
    assert "<" not in about
    assert all(name in about for name in SEVERAL)
    assert 'http-equiv="Content-Security-Policy" content="default-src &#39;none&#39;' in written


def test_the_same_models_give_the_same_bytes(several_file: Path, web_runtime: Path, tmp_path: Path) -> None:
    write_page(tmp_path / "again.html", shipped(*SEVERAL), runtime_folder=web_runtime)
    assert (tmp_path / "again.html").read_bytes() == several_file.read_bytes()


def test_what_is_no_model_is_refused(tmp_path: Path, web_runtime: Path) -> None:
    (tmp_path / "small_cnn-mnist.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError):
        write_page(tmp_path / "page.html", [tmp_path / "small_cnn-mnist.onnx"], runtime_folder=web_runtime)
    with pytest.raises(UsageError, match="a page needs models of different names; got none"):
        write_page(tmp_path / "page.html", [], runtime_folder=web_runtime)
    assert not (tmp_path / "page.html").exists()
