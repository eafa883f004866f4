"""Where a key is set, the page asks for it."""

import base64
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from scripts.drawing import SEVEN, draw, wait_for_pad
from tests.serving.demo.conftest import Demo, running
from vision_zoo.serving.demo.login import Login

KEY = "a-key-for-the-page"
PAGE = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keyed")


@pytest.fixture(scope="module")
def keyed(few_models: Path, folder: Path) -> Iterator[Demo]:
    """`vision-zoo demo` with a key, and a folder of its own for temporary files."""
    environment = {"VISION_ZOO_API_KEY": KEY, "TMPDIR": str(folder)}
    with running(folder, "demo", "--models-dir", few_models, env=environment, own=True) as started:
        yield started


@pytest.fixture
def client(keyed: Demo) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=keyed.url, timeout=60) as opened:
        yield opened


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/demo"),
        ("GET", "/demo/"),
        ("GET", "/demo/config"),
        ("GET", "/demo/theme.css"),
        ("GET", "/demo/gradio_api/info"),
        ("GET", "/demo/gradio_api/file=/etc/hostname"),
        ("GET", "/demo/gradio_api/heartbeat/abc"),
        ("POST", "/demo/gradio_api/upload"),
        ("POST", "/demo/gradio_api/queue/join"),
        ("POST", "/demo/gradio_api/call/classify"),
    ],
)
def test_nothing_of_the_page_is_there_without_the_key(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 401
    assert "key" in answer.json()["error"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {KEY}"},
        {"X-API-Key": KEY},
        {"Authorization": f"Basic {base64.b64encode(f'anybody:{KEY}'.encode()).decode()}"},
    ],
)
def test_the_key_opens_the_page_in_every_form(client: httpx.Client, headers: dict[str, str]) -> None:
    assert client.get("/demo/config", headers=headers).status_code == 200
    wrong = {name: value[:-6] + "AAAA==" for name, value in headers.items()}
    assert client.get("/demo/config", headers=wrong).status_code == 401


def test_a_browser_is_shown_the_form(client: httpx.Client) -> None:
    answer = client.get("/demo/", headers=PAGE)
    assert answer.status_code == 401
    assert '<form method="post" action="/demo/login">' in answer.text
    assert client.get("/", headers=PAGE).headers["location"] == "/demo/"
    assert client.get("/demo/config", headers=PAGE).json() == {"error": "the API key is missing or wrong"}


def test_the_cookie_is_for_the_page_alone(client: httpx.Client) -> None:
    answer = client.post("/demo/login", data={"key": KEY})
    assert (answer.status_code, answer.headers["location"]) == (303, "/demo/")
    cookie = answer.headers["set-cookie"]
    assert KEY not in cookie
    for part in ("HttpOnly", "SameSite=strict", "Path=/demo;"):
        assert part in cookie
    sent = {"Cookie": cookie.partition(";")[0]}
    assert client.get("/demo/config", headers=sent).status_code == 200
    assert client.get("/v2/models/small_cnn-mnist", headers=sent).status_code == 401


def test_a_wrong_key_is_refused_in_the_form(client: httpx.Client) -> None:
    for data in ({"key": "wrong"}, {"key": ""}, {"other": KEY}):
        answer = client.post("/demo/login", data=data)
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
    assert client.post("/demo/login", data={"key": "x" * 5000}).status_code == 413


def test_a_cookie_is_neither_made_up_nor_used_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    login, other = Login(KEY.encode(), "/demo"), Login(KEY.encode(), "/demo")

    def admits(token: str) -> bool:
        return login.admits("/demo/", {b"cookie": f"vision-zoo-page={token}".encode()})

    good = login.token(int(time.time()) + 60)
    assert admits(good)
    until, _, seal = good.partition(".")
    for forged in (
        other.token(int(until)),
        login.token(int(time.time()) - 1),
        f"{int(until) + 1}.{seal}",
        f"{until}.",
        f"{until}",
        f"٣{good}",
        "é",
        "",
    ):
        assert not admits(forged)


def test_the_page_is_opened_in_a_browser(browser: Browser, keyed: Demo) -> None:
    page = browser.new_page()
    page.goto(keyed.url)
    page.get_by_label("API key").fill("not the key at all")
    page.get_by_role("button", name="Open the page").click()
    expect(page.get_by_role("alert")).to_have_text("The key is wrong.")
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Open the page").click()
    wait_for_pad(page)
    draw(page, SEVEN)
    expect(page.locator("#digit-answers .said")).to_contain_text("says 7")
    page.close()


def test_it_ends_at_once_with_a_page_open_and_removes_its_files(
    keyed: Demo, folder: Path, client: httpx.Client
) -> None:
    headers = {"X-API-Key": KEY}
    assert (
        httpx.post(f"{keyed.url}/demo/gradio_api/upload", files={"files": b"x"}, headers=headers).status_code
        == 200
    )
    assert list(folder.glob("vision-zoo-page-*/*/picture*"))
    assert KEY not in keyed.log.read_text()
    with client.stream("GET", "/demo/gradio_api/heartbeat/open", headers=headers) as opened:
        beats = opened.iter_text()
        assert "ALIVE" in next(beats)
        keyed.process.send_signal(signal.SIGTERM)
        assert keyed.process.wait(timeout=20) == 0  # it gives requests that run 30
    assert [path.name for path in folder.iterdir() if not re.fullmatch(r"log|\.org\..*", path.name)] == []
