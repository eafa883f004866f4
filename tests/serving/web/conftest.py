"""Pages of shipped models in one file, opened from disk in a browser without a network."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.conftest import ROOT
from tests.serving.demo.conftest import browser
from vision_zoo.serving.web.page import write_page

__all__ = ["browser"]

SEVERAL = ("small_cnn-mnist", "simple_cnn-mnist", "simple_cnn-cifar10", "simple_cnn-fashion_mnist")
"""The models of the page with several."""


def shipped(*names: str) -> list[Path]:
    return [ROOT / "exported" / f"{name}.onnx" for name in names]


@pytest.fixture(scope="session")
def one_file(web_runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with airbench-mnist. Read only."""
    file = tmp_path_factory.mktemp("one") / "one.html"
    write_page(file, shipped("airbench-mnist"), runtime_folder=web_runtime)
    return file


@pytest.fixture(scope="session")
def several_file(web_runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with models of digits, clothes and photographs. Read only."""
    file = tmp_path_factory.mktemp("several") / "several.html"
    write_page(file, shipped(*SEVERAL), runtime_folder=web_runtime)
    return file


def opened(
    browser: Browser, file: Path, *, beside: Path | None = None, before: str = "", **options: Any
) -> Iterator[Page]:
    """The page with its models loaded; nothing has gone wrong in it at the end, and nothing was asked for.

    Files in `beside` may be asked for. `before` is a script that runs before the page's own.
    """
    context = browser.new_context(**options)
    context.add_init_script(before)
    context.set_offline(True)
    page = context.new_page()
    wrong: list[str] = []
    own = ((beside or file).as_uri(), "blob:", "data:")
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith(own) else wrong.append(request.url))
    page.goto(file.as_uri())
    page.evaluate("window.visionZoo?.ready")
    yield page
    context.close()
    assert wrong == []


def _on_a_desk(browser: Browser, file: Path) -> Iterator[Page]:
    return opened(browser, file, viewport={"width": 1280, "height": 800})


@pytest.fixture(scope="module")
def _one(browser: Browser, one_file: Path) -> Iterator[Page]:
    yield from _on_a_desk(browser, one_file)


@pytest.fixture(scope="module")
def _several(browser: Browser, several_file: Path) -> Iterator[Page]:
    yield from _on_a_desk(browser, several_file)


@pytest.fixture
def one(_one: Page) -> Page:
    """The page of `one_file` with nothing drawn."""
    _one.locator("#clear").click()
    return _one


@pytest.fixture
def several(_several: Page) -> Page:
    """The page of `several_file` with nothing drawn."""
    _several.locator("#clear").click()
    return _several
