"""The page reads the pictures that were uploaded to it, and no other file: whatever is posted, to whichever path."""

import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import files
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from tests.conftest import ROOT
from tests.serving.demo.conftest import SECRET, Demo
from tests.serving.demo.events import API, call, reference, upload


@pytest.fixture(scope="module", params=["demo", "small_page"])
def page(request: pytest.FixtureRequest) -> Demo:
    """The page in both of the ways in which it is served."""
    started: Demo = request.getfixturevalue(request.param)
    return started


@pytest.fixture(scope="module")
def client(page: Demo) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=page.url, timeout=60) as opened:
        yield opened


@pytest.fixture(scope="module")
def secret_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of nobody's business: a file that the page could decode if it read it."""
    file = tmp_path_factory.mktemp("private") / f"{SECRET}.png"
    file.write_bytes((ROOT / "docs" / "images" / "demo.png").read_bytes() + SECRET.encode())
    return file


@pytest.fixture(scope="module")
def canary(secret_file: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of a server of this machine's, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(secret_file.read_bytes())

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/picture.png", asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def foreign(page: Demo, secret_file: Path, canary: tuple[str, list[str]]) -> list[str]:
    """Paths and addresses that nobody may read through the page."""
    example = Path(page.examples()[0])
    linked = example.parent / "link.png"
    linked.symlink_to(secret_file)
    inside = example.parent.parent / "state.png"
    inside.write_bytes(secret_file.read_bytes())
    climbing = f"{example.parent}/{'../' * len(example.parts)}{str(secret_file).lstrip('/')}"
    return [
        str(secret_file),
        f"file://{secret_file}",
        climbing,
        str(linked),
        str(inside),
        str(example.parent),
        f"/proc/{page.process.pid}/environ",
        "/proc/self/environ",
        "/etc/hostname",
        "vision_zoo/__init__.py",
        "",
        canary[0],
        canary[0].replace("http:", "HTTP:"),
        "gradio_api/file=/etc/hostname",
        f"{page.url}/demo/gradio_api/file=/etc/hostname",
        "\x00",
    ]


def _shapes(path: str) -> list[Any]:
    """Ways to refer to a file that Gradio's components understand."""
    return [
        reference(path),
        reference(path, is_stream=True),
        reference(path, url=path, orig_name="picture.svg"),
        {"path": None, "url": path, "meta": {"_type": "gradio.FileData"}},
        {"path": path},
        {
            "background": reference(path),
            "layers": [reference(path)],
            "composite": reference(path),
            "id": None,
        },
        [{"image": reference(path), "caption": None}],
        {"__type__": "update", "value": reference(path)},
    ]


def _is_kept(answer: httpx.Response) -> bool:
    """Whether an answer tells nothing of a foreign file, nor of where files are kept."""
    return SECRET not in answer.text and not re.search(r"vision-zoo-page-|Traceback|root:", answer.text)


def test_no_event_takes_a_reference_to_a_foreign_file(
    page: Demo, client: httpx.Client, foreign: list[str], canary: tuple[str, list[str]]
) -> None:
    events = [event for event in client.get("/demo/config").json()["dependencies"] if event["inputs"]]
    tried = 0
    for event in events:
        for number, path in enumerate(foreign):
            for shape in _shapes(path) if number == 0 else [reference(path)]:
                body = {
                    "data": [shape] * len(event["inputs"]),
                    "fn_index": event["id"],
                    "session_hash": "abc",
                }
                answers = [client.post(f"{API}/queue/join", json=body)]
                if event["api_name"]:
                    answers.append(client.post(f"{API}/call/{event['api_name']}", json=body))
                for answer in answers:
                    tried += 1
                    assert answer.status_code in (400, 403, 404), (event["id"], shape, answer.text)
                    assert _is_kept(answer)
    assert tried > 200
    assert canary[1] == []


def test_a_reference_beside_the_data_is_not_read(client: httpx.Client, foreign: list[str]) -> None:
    for event in client.get("/demo/config").json()["dependencies"]:
        if event["inputs"] or not event["backend_fn"]:
            continue
        body = {"data": [], "fn_index": event["id"], "session_hash": "beside", "trigger_id": 1}
        asked = client.post(
            f"{API}/queue/join", json={**body, "event_data": reference(foreign[0], index=0, value="")}
        )
        assert asked.status_code == 200
        assert _is_kept_but_for_examples(client.get(f"{API}/queue/data", params={"session_hash": "beside"}))


def _is_kept_but_for_examples(answer: httpx.Response) -> bool:
    return SECRET not in answer.text and "Traceback" not in answer.text


def test_no_foreign_file_is_downloaded(
    client: httpx.Client, foreign: list[str], canary: tuple[str, list[str]]
) -> None:
    for path in foreign:
        for prefix in ("file=", "file/", "proxy=", "stream/", "custom_component/"):
            for written in (path, path.replace("/", "%2F"), path.replace("..", "%2e%2e")):
                answer = client.get(f"{API}/{prefix}{written.replace(chr(0), '%00')}")
                assert answer.status_code in (404, 405), (prefix, written)
                assert _is_kept(answer)
    assert canary[1] == []


def test_an_example_is_downloaded(page: Demo, client: httpx.Client) -> None:
    answer = client.get(f"{API}/file={page.examples()[0]}")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_gradios_other_paths_are_not_there(page: Demo, client: httpx.Client, secret_file: Path) -> None:
    # Read from its source: making one of its pages leaves event loops open.
    (distribution,) = [file for file in files("gradio") or [] if str(file) == "gradio/routes.py"]
    found = re.findall(r"@(router|app)\.(\w+)\(\s*\"([^\"]*)", Path(str(distribution.locate())).read_text())
    served = {
        (method.upper(), f"{'/gradio_api' if kind == 'router' else ''}{path}") for kind, method, path in found
    }
    assert len(served) > 60
    for method, path in sorted(served):
        filled = re.sub(r"\{[^}]*\}", lambda _: str(secret_file), path)
        if "heartbeat" in path:
            continue  # a stream without end; its paths are looked at below
        for body in (
            {},
            {"json": {"data": [reference(secret_file)], "session_hash": "x", "component_id": 1}},
        ):
            if method in ("GET", "HEAD") and body:
                continue
            answer = client.request(method, f"/demo{filled}", **body)  # type: ignore[arg-type]
            assert answer.status_code < 500, (method, path)
            assert _is_kept(answer) or path in ("/", "/config", "/config/"), (method, path)
            if method not in ("GET", "HEAD"):
                assert answer.status_code in (400, 403, 404, 405), (method, path)
    assert client.get(f"{API}/heartbeat/../file=/etc/hostname").status_code == 404


def test_a_deep_link_reads_no_state(client: httpx.Client) -> None:
    plain = client.get("/demo/").text
    assert client.get("/demo/", params={"deep_link": "../../etc/hostname"}).text == plain


def test_an_upload_belongs_to_the_session_that_used_it(client: httpx.Client, digit_png: Path) -> None:
    path = upload(client, digit_png.read_bytes())
    kind, (shown,) = call(client, "classify", [reference(path), "mnist"], session_hash="mine")
    assert (kind, "<strong>7" in shown) == ("complete", True)
    answer = client.post(
        f"{API}/call/classify", json={"data": [reference(path), "mnist"], "session_hash": "another"}
    )
    assert answer.status_code == 403
    assert "not uploaded here" in answer.json()["error"]
    assert call(client, "explain_picture", [reference(path), "mnist"], session_hash="mine")[0] == "complete"


def test_paths_cannot_be_guessed_from_the_content(client: httpx.Client, digit_png: Path) -> None:
    first, second = (Path(upload(client, digit_png.read_bytes())).parent.name for _ in range(2))
    assert first != second
    assert len(first) == 32


def test_what_is_wrong_is_not_in_the_log_as_a_traceback(page: Demo) -> None:
    assert "Traceback" not in page.log.read_text()
