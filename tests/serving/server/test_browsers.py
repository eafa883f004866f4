"""What web pages of other origins can do to a server on this machine: nothing, unless they are named."""

import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page

from scripts.browser import chromium
from tests.serving.server.conftest import INFER, MODEL, Server, infer_request, running
from vision_zoo.core.errors import UsageError
from vision_zoo.serving.server.errors import RequestError
from vision_zoo.serving.server.settings import ServerSettings

PARTNER = "https://partner.test"
FOREIGN = {"Origin": "https://evil.test"}


@pytest.fixture(scope="module")
def opened(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that answers for one more host, and to the pages of one more origin."""
    log = tmp_path_factory.mktemp("opened") / "log"
    arguments = ("--allow-host", "*.zoo.test", "--cors-origin", PARTNER)
    with running(models, log, *arguments) as started:
        yield started


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:1",
        "localhost.",
        "127.0.0.1:8000",
        "127.9.9.9",
        "[::1]:8000",
        "[::ffff:127.0.0.1]",
    ],
)
def test_this_machines_names_are_answered(client: httpx.Client, host: str) -> None:
    assert client.get("/v2", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.test", 421),
        ("evil.test:8000", 421),
        ("localhost.evil.test", 421),
        ("127.0.0.1.evil.test", 421),
        ("10.0.0.1", 421),
        ("0.0.0.0", 421),
        ("", 400),
        ("localhost:99999", 400),
        ("user@localhost", 400),
        ("localhost evil.test", 400),
    ],
)
@pytest.mark.parametrize("path", ["/v2", "/docs", "/v2/health/live", "/nothing"])
def test_other_hosts_are_refused(client: httpx.Client, host: str, status: int, path: str) -> None:
    answer = client.get(path, headers={"Host": host})
    assert answer.status_code == status
    assert answer.json()["error"]
    assert status == 400 or "--allow-host" in answer.json()["error"]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /v2 HTTP/1.1\r\n\r\n", 400),
        (b"GET /v2 HTTP/1.0\r\n\r\n", 200),
        (b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nHost: evil.test\r\n\r\n", 400),
        (b"GET http://evil.test/v2 HTTP/1.1\r\nHost: localhost\r\n\r\n", 421),
        (b"GET http://localhost/v2 HTTP/1.1\r\nHost: evil.test\r\n\r\n", 200),
    ],
)
def test_the_host_is_unmistakable(server: Server, head: bytes, status: int) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(head)
        assert connection.recv(1000).startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize(
    ("settings", "host", "allowed"),
    [
        ({"host": "0.0.0.0"}, "10.1.2.3:8000", True),
        ({"host": "::"}, "[fe80::1]:8000", True),
        ({"host": "0.0.0.0"}, socket.gethostname(), True),
        ({"host": "0.0.0.0"}, "localhost:8000", True),
        ({"host": "0.0.0.0"}, "evil.test", False),
        ({"allow_hosts": ("*.zoo.test",)}, "a.zoo.test", True),
        ({"allow_hosts": ("*.zoo.test",)}, "zoo.test", False),
        ({"allow_hosts": ("*.zoo.test",)}, "evilzoo.test", False),
        ({"allow_hosts": ("*",)}, "any.test", True),
    ],
)
def test_which_hosts_are_answered_for(settings: dict[str, object], host: str, allowed: bool) -> None:
    rules = ServerSettings(open_to_all=True, **settings).browser_rules()  # type: ignore[arg-type]
    if allowed:
        rules.check_host({b"host": host.encode()}, "1.1")
    else:
        with pytest.raises(RequestError, match="--allow-host"):
            rules.check_host({b"host": host.encode()}, "1.1")


@pytest.mark.parametrize(
    "settings",
    [
        {"allow_hosts": ("http://example.org",)},
        {"allow_hosts": ("example.org:80",)},
        {"allow_hosts": ("",)},
        {"cors_origins": ("example.org",)},
        {"cors_origins": ("https://example.org/",)},
        {"cors_origins": ("https://*.example.org/a",)},
        {"root_path": "models"},
        {"root_path": "/a b"},
    ],
    ids=str,
)
def test_names_that_are_no_hosts_or_origins_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"expected|malformed"):
        ServerSettings(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "headers",
    [
        FOREIGN,
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://localhost:1"},
        {"Origin": "file://"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", INFER), ("POST", "/v2/repository/index"), ("DELETE", "/demo")]
)
def test_pages_of_other_origins_send_nothing(
    client: httpx.Client, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = client.request(method, path, headers=headers)
    assert answer.status_code == 403
    assert answer.json()["error"]


def test_programs_and_own_pages_send(client: httpx.Client, server: Server) -> None:
    body = infer_request()
    assert client.post(INFER, json=body).status_code == 200
    assert client.post(INFER, json=body, headers={"Origin": server.url}).status_code == 200
    assert client.post(INFER, json=body, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_a_page_behind_a_proxy_that_speaks_tls_is_the_servers_own(opened: Server) -> None:
    headers = {"Host": "a.zoo.test", "Origin": "https://a.zoo.test"}
    assert httpx.post(f"{opened.url}{INFER}", json=infer_request(), headers=headers).status_code == 200


def test_a_named_origin_is_answered_with_cors_headers(opened: Server) -> None:
    asked = {"Origin": PARTNER, "Access-Control-Request-Method": "POST"}
    preflight = httpx.options(f"{opened.url}{INFER}", headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == PARTNER
    assert "Inference-Header-Content-Length" in preflight.headers["Access-Control-Allow-Headers"]
    answer = httpx.post(f"{opened.url}{INFER}", json=infer_request(), headers={"Origin": PARTNER})
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == PARTNER
    assert "Inference-Header-Content-Length" in answer.headers["Access-Control-Expose-Headers"]
    missing = httpx.get(f"{opened.url}/nothing", headers={"Origin": PARTNER})
    assert missing.headers["Access-Control-Allow-Origin"] == PARTNER
    assert "Origin" in httpx.get(f"{opened.url}/v2").headers["Vary"]


def test_other_origins_get_no_cors_headers(opened: Server, server: Server) -> None:
    for url in (opened.url, server.url):
        asked = {**FOREIGN, "Access-Control-Request-Method": "POST"}
        for answer in (
            httpx.options(f"{url}{INFER}", headers=asked),
            httpx.get(f"{url}/v2", headers=FOREIGN),
        ):
            assert "Access-Control-Allow-Origin" not in answer.headers
            assert answer.status_code in (403, 200)


@pytest.mark.parametrize(
    "path", ["/v2", "/docs", "/nothing", "/metrics", "/static-offline-docs/swagger-ui.css"]
)
def test_every_answer_has_the_headers_that_browsers_obey(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "frame-ancestors 'self'" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"]


# In a real browser.


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Names of other machines lead to this one, as after DNS rebinding."""
    with chromium("--host-resolver-rules=MAP *.test 127.0.0.1") as opened:
        yield opened


class _EmptyPage(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def other_port() -> Iterator[int]:
    """The port of somebody else's web site."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _EmptyPage) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield site.server_port
        site.shutdown()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page()
    yield opened
    opened.close()


_READ = "url => fetch(url).then(answer => answer.text(), () => 'blocked')"
_POST = """([url, mode]) => {
  const form = new FormData(); form.append('file', new Blob(['GIF89a']), 'a.gif');
  return fetch(url, {method: 'POST', body: form, mode}).then(answer => answer.text(), () => 'blocked');
}"""


def _posts(server: Server) -> float:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    posts = [
        line
        for line in lines
        if line.startswith('vision_zoo_requests_total{method="POST",route="/v1/classify')
    ]
    return sum(float(line.rsplit(" ", 1)[1]) for line in posts)


def test_a_foreign_page_neither_reads_nor_posts(page: Page, server: Server, other_port: int) -> None:
    url = f"http://localhost:{server.port}"
    before = _posts(server)
    for site in (f"http://localhost:{other_port}", f"http://evil.test:{other_port}"):
        page.goto(site)
        assert page.evaluate(_READ, f"{url}/v1/models") == "blocked"
        for mode in ("cors", "no-cors"):
            page.evaluate(_POST, [f"{url}/v1/classify/{MODEL}", mode])
    assert _posts(server) == before  # refused before they reach a route


def test_a_rebound_name_shows_nothing(page: Page, server: Server) -> None:
    answer = page.goto(f"http://evil.test:{server.port}/v1/models")
    assert answer is not None
    assert answer.status == 421
    for path in ("/v1/models", "/docs", "/metrics"):
        assert "--allow-host" in page.evaluate(_READ, path)
    assert "--allow-host" in page.evaluate(_POST, [f"/v1/classify/{MODEL}", "cors"])


def test_a_named_origins_page_reads_and_posts(
    page: Page, models: Path, other_port: int, tmp_path: Path
) -> None:
    site = f"http://partner.test:{other_port}"
    with running(models, tmp_path / "log", "--cors-origin", site) as started:
        page.goto(site)
        assert MODEL in page.evaluate(_READ, f"{started.url}/v1/models")
        assert '"error"' in page.evaluate(_POST, [f"{started.url}/v1/classify/{MODEL}", "cors"])
        assert _posts(started) == 1


def test_the_api_page_works_under_its_own_policy(page: Page, server: Server) -> None:
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.goto(f"{server.url}/docs")
    page.get_by_text("/v2/health/live").first.wait_for()
    assert wrong == []
