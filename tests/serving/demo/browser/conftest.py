"""The page in a real browser, which is the same for all tests of this folder."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from scripts.browser import chromium
from scripts.drawing import wait_for_pad


@pytest.fixture(scope="package")  # while it is open, this process has a running event loop
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="package")
def desktop(browser: Browser) -> Iterator[Page]:
    """One page for all tests: what it has loaded is not loaded and compiled again."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    yield opened
    opened.close()


@pytest.fixture(scope="package")
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
