"""HEAD, compression and a path prefix."""

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import Completed, run_command
from tests.serving.server.conftest import INFER, MODEL, Server, infer_request, running, until
from vision_zoo.core.errors import UsageError
from vision_zoo.serving.server.settings import ServerSettings

GET_PATHS = [
    "/v2",
    "/v2/health/live",
    f"/v2/models/{MODEL}",
    f"/v2/models/{MODEL}/ready",
    "/v1/models",
    "/docs",
    "/openapi.json",
    "/favicon.ico",
    "/static-offline-docs/swagger-ui.css",
    "/nothing",
]


@pytest.mark.parametrize("path", GET_PATHS)
def test_head_is_get_without_the_body(client: httpx.Client, path: str) -> None:
    for headers in ({"Accept-Encoding": "identity"}, {"Accept-Encoding": "gzip"}):
        got, head = client.get(path, headers=headers), client.head(path, headers=headers)
        assert head.status_code == got.status_code
        assert head.content == b""
        for name in ("Content-Length", "Content-Type", "Content-Encoding"):
            assert head.headers.get(name) == got.headers.get(name)


def test_head_where_there_is_no_get_is_405(client: httpx.Client) -> None:
    assert client.head(INFER).status_code == 405
    assert client.post("/v2").headers["Allow"] == "GET, HEAD"


def _raw_body(
    client: httpx.Client, method: str, path: str, **options: object
) -> tuple[httpx.Response, bytes]:
    with client.stream(method, path, **options) as answer:  # type: ignore[arg-type]
        return answer, b"".join(answer.iter_raw())


@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [
        ("gzip", True),
        ("deflate, gzip;q=0.5", True),
        ("br, GZIP", True),
        ("*", True),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("br", False),
        ("*, gzip;q=0", False),
    ],
)
def test_large_answers_are_compressed_for_those_who_accept_it(
    client: httpx.Client, accepted: str, compressed: bool
) -> None:
    plain = client.get("/openapi.json", headers={"Accept-Encoding": "identity"}).content
    answer, body = _raw_body(client, "GET", "/openapi.json", headers={"Accept-Encoding": accepted})
    assert (answer.headers.get("Content-Encoding") == "gzip") is compressed
    assert (gzip.decompress(body) if compressed else body) == plain
    assert len(body) == int(answer.headers["Content-Length"])
    assert not compressed or "Accept-Encoding" in answer.headers["Vary"]


@pytest.mark.parametrize("batch", [1, 20, 250])
def test_predictions_are_the_same_compressed(client: httpx.Client, batch: int) -> None:
    asked = infer_request(batch)
    plain, body = _raw_body(client, "POST", INFER, json=asked, headers={"Accept-Encoding": "identity"})
    answer, compressed = _raw_body(client, "POST", INFER, json=asked, headers={"Accept-Encoding": "gzip"})
    assert (answer.headers.get("Content-Encoding") == "gzip") is (len(body) >= 1000)
    assert (gzip.decompress(compressed) if len(body) >= 1000 else compressed) == body
    assert plain.status_code == answer.status_code == 200


@pytest.fixture(scope="module")
def prefixed(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(models, tmp_path_factory.mktemp("prefixed") / "log", "--root-path", "/zoo/") as started:
        yield started


@pytest.mark.parametrize("prefix", ["", "/zoo"], ids=["stripped", "kept"])
def test_a_proxys_prefix_may_be_stripped_or_kept(prefixed: Server, prefix: str) -> None:
    with httpx.Client(base_url=f"{prefixed.url}{prefix}") as client:
        assert client.get("/v2/health/live").status_code == 200
        assert client.post(INFER, json=infer_request()).status_code == 200
        assert client.get("/").headers["Location"] == "/zoo/docs"
        assert client.get("/openapi.json").json()["servers"] == [{"url": "/zoo"}]
        page = client.get("/docs").text
        assert '"/zoo/static-offline-docs/swagger-ui-bundle.js"' in page
        assert "'/zoo/openapi.json'" in page
        assert client.get("/static-offline-docs/swagger-ui-bundle.js").status_code == 200
        assert client.head("/docs").status_code == 200
        assert client.get("/zoological").status_code == 404


@pytest.mark.parametrize(
    "name",
    [
        "max_body_bytes",
        "max_batch",
        "max_concurrency",
        "max_queue",
        "max_connections",
        "deadline_seconds",
        "read_seconds",
        "drain_seconds",
        "reload_seconds",
        "threads",
    ],
)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -1, 10**12])
def test_numbers_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(UsageError, match="out of range; expected"):
        ServerSettings(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "arguments",
    [
        "--max-body-mb 0",
        "--max-body-mb nan",
        "--reload -1",
        "--port 70000",
        "--deadline inf",
        f"--open-to-all --host {'a' * 300}",
    ],
)
def test_options_out_of_range_are_one_line(cli: Callable[..., Completed], arguments: str) -> None:
    done = cli("serve", *arguments.split())
    assert "expected" in done.error or "choose another --host" in done.error


def test_an_empty_folder_is_an_error_where_it_is_never_looked_at_again(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    done = run_command("serve", "--models-dir", "models", "--reload", "0", "--port", "0", cwd=tmp_path)
    assert "there is no model to serve in models" in done.error


def test_an_empty_folder_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    with running(tmp_path / "models", tmp_path / "log") as started:
        until(lambda: "there is no model to serve yet" in started.log.read_text())


@pytest.mark.parametrize(
    "path", ["/v2/models/", f"/v2/models/{MODEL}/", f"{INFER}/", "/v1/classify/", "/docs/", "/metrics/"]
)
def test_a_path_with_another_slash_is_not_redirected(client: httpx.Client, path: str) -> None:
    headers = {"Host": "localhost", "X-Forwarded-Proto": "https"}
    for method in ("GET", "POST"):
        answer = client.request(method, path, headers=headers, json=infer_request())
        assert answer.status_code == 404
        assert answer.json() == {"error": "there is nothing at this path"}
