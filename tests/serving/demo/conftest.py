"""The page, served for real by `vision-zoo demo` over the shipped models."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.conftest import ROOT


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running `vision-zoo demo`."""
    log = tmp_path_factory.mktemp("demo") / "log"
    command = [
        sys.executable,
        "-m",
        "vision_zoo",
        "demo",
        "--port",
        "0",
        "--models-dir",
        str(ROOT / "exported"),
    ]
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, stderr=stderr, env=os.environ.copy())
    try:
        yield _address(process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        found = re.search(r"the page is at (http://\S+)", log.read_text())
        if found:
            try:
                urllib.request.urlopen(f"{found.group(1)}/v2/health/ready", timeout=5)
            except OSError:
                pass
            else:
                return found.group(1)
        time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or Playwright's own: `scripts/install_browser.sh` brings one of them."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield opened
        opened.close()
