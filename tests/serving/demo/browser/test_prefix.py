"""The page behind a proxy that puts a prefix before every path, with a key."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from scripts.drawing import SEVEN, draw, wait_for_pad
from tests.serving.demo.conftest import Demo, running
from tests.serving.demo.events import API, call, reference, upload
from tests.serving.demo.proxy import stripping

KEY = "a-key-for-the-page"
PREFIX = "/zoo"
PAGE = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def prefixed(few_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("prefixed")
    arguments = ("demo", "--models-dir", few_models, "--root-path", PREFIX)
    with running(folder, *arguments, env={"VISION_ZOO_API_KEY": KEY}) as started:
        yield started


@pytest.mark.parametrize("kept", ["", PREFIX], ids=["stripped", "kept"])
def test_a_proxys_prefix_may_be_stripped_or_kept(prefixed: Demo, kept: str, digit_png: Path) -> None:
    url = prefixed.url.removesuffix(PREFIX)
    with httpx.Client(base_url=f"{url}{kept}", timeout=60) as client:
        assert client.get("/", headers=PAGE).headers["location"] == f"{PREFIX}/demo/"
        form = client.get("/demo/", headers=PAGE)
        assert form.status_code == 401
        assert f'action="{PREFIX}/demo/login"' in form.text
        assert client.get("/demo/config").status_code == 401
        answer = client.post("/demo/login", data={"key": KEY})
        assert (answer.status_code, answer.headers["location"]) == (303, f"{PREFIX}/demo/")
        assert f"Path={PREFIX}/demo;" in answer.headers["set-cookie"]

        client.headers["Cookie"] = answer.headers["set-cookie"].partition(";")[0]
        assert client.get("/demo", headers=PAGE).headers["location"] == f"{PREFIX}/demo/"
        assert client.get("/demo/", headers=PAGE).status_code == 200
        config = client.get("/demo/config").json()
        assert config["root"].endswith(f"{PREFIX}/demo")
        path = upload(client, digit_png.read_bytes())
        assert client.get(f"{API}/file={path}").content == digit_png.read_bytes()
        assert "says <strong>7</strong>" in call(client, "classify", [reference(path), "mnist"])[1][0]
        assert client.post(
            f"{API}/call/classify", json={"data": [reference("/etc/hostname"), "mnist"]}
        ).is_error
        assert client.get("/demo/gradio_api/startup-events").status_code == 404


def test_the_page_is_used_under_its_prefix(browser: Browser, prefixed: Demo) -> None:
    _use(browser, f"{prefixed.url.removesuffix(PREFIX)}{PREFIX}")


def test_the_page_is_used_behind_a_proxy_that_takes_the_prefix_away(browser: Browser, prefixed: Demo) -> None:
    with stripping(PREFIX, prefixed.url.removesuffix(PREFIX)) as url:
        _use(browser, url)


def _use(browser: Browser, url: str) -> None:
    """Log in, draw a digit, choose a picture and read the answers; everything is asked for below `url`."""
    with browser.new_context() as context:
        page = context.new_page()
        wrong: list[str] = []
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith((f"{url}/", "data:", "blob:")) else wrong.append(request.url)
            ),
        )
        page.on(
            "response",
            lambda response: wrong.append(response.url) if response.status not in (200, 303, 401) else None,
        )
        page.goto(f"{url}/")
        page.get_by_label("API key").fill(KEY)
        page.get_by_role("button", name="Open the page").click()
        wait_for_pad(page)
        draw(page, SEVEN)
        expect(page.locator("#digit-answers .said")).to_contain_text("says 7")
        page.get_by_role("tab", name="Drop an image").click()
        page.locator(".grid-container button").first.click()
        expect(page.locator("#picture-answers .said")).to_contain_text("says")
        assert wrong == []
