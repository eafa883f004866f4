"""Models with names that are no plain words, and models that come and go while the page is open."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import onnx
import pytest
from playwright.sync_api import Browser, Page, expect

from scripts.drawing import SEVEN, draw, wait_for_pad
from tests.conftest import ROOT
from tests.serving.demo.conftest import Demo, running
from tests.serving.demo.events import API
from vision_zoo.artifact.metadata import METADATA_KEY

_SCRIPT = "<img src=x onerror=window.taken=1>"
_TEMPLATE = "${window.taken=1}{{constructor}}"


@pytest.fixture
def models(few_models: Path, tmp_path: Path) -> Path:
    """A folder with a model whose name, dataset and labels would like to be code."""
    folder = tmp_path / "models"
    shutil.copytree(few_models, folder)
    model = onnx.load(ROOT / "exported" / "simple_cnn-mnist.onnx")
    (entry,) = [entry for entry in model.metadata_props if entry.key == METADATA_KEY]
    metadata = json.loads(entry.value)
    metadata["labels"] = [f"{label}{_SCRIPT}{_TEMPLATE}" for label in metadata["labels"]]
    metadata["dataset"] = f"a{_SCRIPT}{_TEMPLATE}"
    entry.value = json.dumps(metadata)
    onnx.save(model, folder / f"a{_SCRIPT}{_TEMPLATE}.onnx")
    return folder


@pytest.fixture
def server(models: Path, tmp_path: Path) -> Iterator[Demo]:
    with running(tmp_path, "serve", "--demo", "--models-dir", models, "--reload", "0.2") as started:
        yield started


@pytest.fixture
def page(browser: Browser, server: Demo) -> Iterator[Page]:
    with browser.new_context() as context:
        opened = context.new_page()
        opened.on("pageerror", lambda error: pytest.fail(str(error)))
        opened.goto(f"{server.url}/demo")
        wait_for_pad(opened)
        yield opened


def test_names_are_text_and_models_may_vanish(page: Page, server: Demo, models: Path) -> None:
    draw(page, SEVEN)
    card = page.locator("#digit-answers .card").first
    expect(card).to_be_visible()
    expect(page.locator("#digit-answers")).to_contain_text(f"7{_SCRIPT}{_TEMPLATE}")
    page.get_by_role("button", name="What mattered?").click()
    page.get_by_label("Model", exact=True).click()
    page.get_by_role("option", name="a<img").click()
    page.get_by_role("tab", name="Drop an image").click()
    page.get_by_role("radio", name="a<img").check()
    page.get_by_role("tab", name="Compare").click()
    page.get_by_role("radio", name="a<img").check()
    assert page.evaluate("window.taken") is None
    assert page.locator("img[src='x']").count() == 0

    (taken,) = models.glob("a*.onnx")
    taken.unlink()
    deadline = time.monotonic() + 300
    while len(httpx.get(f"{server.url}/v1/models").json()) != 2:
        assert time.monotonic() < deadline
    page.get_by_role("tab", name="Draw a digit").click()
    page.get_by_role("button", name="Show what mattered").click()
    expect(page.locator(".toast-body")).to_contain_text("reload the page")
    page.get_by_role("tab", name="Drop an image").click()
    page.locator(".grid-container button").first.click()
    expect(page.locator("#picture-answers .said")).to_contain_text("Trouser")
    page.get_by_role("radio", name="a<img").check()
    expect(page.locator("#picture-answers")).to_contain_text("reload the page")
    page.reload()
    wait_for_pad(page)
    page.get_by_role("tab", name="Compare").click()
    expect(page.get_by_role("radio", name="a<img")).to_have_count(0)
    expect(page.locator("#compared .models")).to_have_count(1)
    expect(page.locator("#compared .models")).not_to_contain_text("a<img")
    assert "Traceback" not in server.log.read_text()
    assert httpx.get(f"{server.url}{API}/info").status_code == 200
