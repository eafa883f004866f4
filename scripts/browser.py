"""The browser of the tests, the pictures and the benchmarks."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright


@contextmanager
def chromium(*arguments: str) -> Iterator[Browser]:
    """Chromium without a screen: Debian's, or Playwright's own; `scripts/install_browser.sh` brings one of them.

    It starts and loads pages in half the processor time of the whole browser.
    """
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=shutil.which("chromium-headless-shell"),
            args=["--no-sandbox", "--disable-dev-shm-usage", *arguments],
        )
        yield opened
        opened.close()
