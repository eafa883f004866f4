"""Uploads: what is wrong with them is said, and they lie on the disk no longer than they are needed."""

import gzip
import io
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from scripts.drawing import wait_for_pad
from tests.serving.demo.conftest import Demo
from tests.serving.demo.events import API, call, reference, upload
from tests.serving.server import bombs
from tests.serving.server.conftest import Server, until
from vision_zoo.serving.demo.uploads import PageFiles
from vision_zoo.serving.server.errors import RequestError


@pytest.fixture
def page(small_page: Demo) -> Demo:
    return small_page


@pytest.fixture
def client(page: Demo) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=page.url, timeout=60) as opened:
        yield opened


def _uploads(page: Demo) -> list[Path]:
    folder = Path(page.examples()[0]).parent.parent
    return [file for file in folder.glob("*/picture*") if file.is_file()]


def _png(width: int, height: int) -> bytes:
    content = io.BytesIO()
    Image.new("1", (width, height)).save(content, "PNG")
    return content.getvalue()


BROKEN = {
    "no image": (b"not an image at all", "not a readable image"),
    "nothing": (b"", "not a readable image"),
    "half": (_png(600, 600)[:-30], "damaged"),
    "too many pixels": (_png(5000, 4000), "more than 16 million pixels"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_picture_that_cannot_be_used_is_one_line(page: Demo, client: httpx.Client, case: str) -> None:
    content, expected = BROKEN[case]
    kind, (shown,) = call(client, "classify", [reference(upload(client, content)), "fashion-mnist"])
    assert kind == "complete"
    assert expected in shown
    assert shown.count("<p") == 1
    kind, error = call(client, "explain_picture", [reference(upload(client, content)), "fashion-mnist"])
    assert kind == "error"
    assert expected in error["error"]
    assert "Traceback" not in page.log.read_text()


def test_a_body_above_the_servers_limit_is_refused(client: httpx.Client) -> None:
    assert client.post(f"{API}/upload", files={"files": ("a.png", bytes(2**20))}).status_code == 413
    assert client.post(f"{API}/call/classify", content=b"[" * 2**19).status_code == 413
    assert client.post(f"{API}/upload", content=b"x").status_code == 400


def test_a_call_without_a_session_leaves_no_file(page: Demo, client: httpx.Client, digit_png: Path) -> None:
    path = upload(client, digit_png.read_bytes())
    assert Path(path) in _uploads(page)
    assert call(client, "classify", [reference(path), "mnist"])[0] == "complete"
    assert Path(path) not in _uploads(page)


def test_a_session_keeps_the_picture_that_it_uses_and_no_other(
    page: Demo, client: httpx.Client, digit_png: Path
) -> None:
    first, second = (upload(client, digit_png.read_bytes()) for _ in range(2))
    call(client, "classify", [reference(first), "mnist"], session_hash="one")
    assert client.get(f"{API}/file={first}").content == digit_png.read_bytes()
    call(client, "classify", [reference(second), "mnist"], session_hash="one")
    assert Path(first) not in _uploads(page)
    assert client.get(f"{API}/file={first}").status_code == 404
    call(client, "classify", [None, "mnist"], session_hash="one")
    assert Path(second) not in _uploads(page)


def test_a_closed_page_leaves_no_file(page: Demo, client: httpx.Client, digit_png: Path) -> None:
    path = Path(upload(client, digit_png.read_bytes()))
    with client.stream("GET", f"{API}/heartbeat/two") as opened:
        beats = opened.iter_text()
        next(beats)
        call(client, "classify", [reference(path), "mnist"], session_hash="two")
        assert path in _uploads(page)
    while path in _uploads(page):  # the server notices in its own time
        pass


def test_names_of_uploads_are_not_used(client: httpx.Client) -> None:
    path = Path(upload(client, b"x", name="../../evil.svg"))
    assert path.name == "picture"
    answer = client.get(f"{API}/file={path}")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert "attachment" in answer.headers["content-disposition"]


def test_too_many_uploads_are_refused(client: httpx.Client) -> None:
    answers = [client.post(f"{API}/upload", files={"files": ("a", b"x")}) for _ in range(40)]
    assert {answer.status_code for answer in answers} == {200, 429}
    assert answers[-1].headers["retry-after"]
    for answer in answers:
        if answer.status_code == 200:
            call(client, "classify", [reference(answer.json()[0]), "mnist"])
    upload(client, b"x")  # what was used and deleted counts no more


def _sending(page: Demo, size: int, *, client: str = "127.0.0.1") -> socket.socket:
    """An upload of a file of which `size` bytes are sent, and not the end."""
    head = b'--limit\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    address = urlsplit(page.url)
    sending = socket.create_connection((address.hostname, address.port or 0), 20, (client, 0))
    length = len(head) + size + len(_END)
    sending.sendall(
        f"POST {API}/upload HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {length}\r\n"
        "Content-Type: multipart/form-data; boundary=limit\r\n\r\n".encode()
    )
    sending.sendall(head + bytes(size))
    return sending


_END = b"\r\n--limit--\r\n"


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")
def test_many_uploads_at_once_take_little_memory(page: Demo) -> None:
    size, clients = 900_000, [f"127.0.0.{number}" for number in (2, 3, 4, 5)]
    server = Server(0, page.process, page.log)
    before, files = bombs.resident_mib(server), set(_uploads(page))
    sending = [_sending(page, size, client=client) for client in clients for _ in range(25)]
    until(lambda: sum(path.stat().st_size for path in {*_uploads(page)} - files) == size * len(sending))
    assert bombs.resident_mib(server) - before < 40
    for one in sending:
        one.sendall(_END)
        assert b" 200 " in one.recv(100).partition(b"\r\n")[0]
        one.close()


def test_an_upload_that_does_not_arrive_leaves_nothing(page: Demo, client: httpx.Client) -> None:
    sending = _sending(page, 1000)
    until(lambda: 1000 in [path.stat().st_size for path in _uploads(page)])
    (path,) = [path for path in _uploads(page) if path.stat().st_size == 1000]
    assert client.get(f"{API}/file={path}").status_code == 404
    assert client.post(f"{API}/call/classify", json={"data": [reference(path), "mnist"]}).status_code == 403
    sending.close()
    until(lambda: not path.parent.exists())


_PART = b'--limit\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\nx\r\n'
_FILE = _PART % (b"files", b'; filename="a.png"')


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--limit--\r\n",
        b"no form",
        _FILE,
        _FILE * 5 + b"--limit--",
        _FILE + _PART % (b"a", b"") * 2 + b"--limit--",
        _PART % (b"other", b'; filename="a.png"') + b"--limit--",
        _FILE.replace(b'name="files"; ', b"") + b"--limit--",
        b"--limit\r\n" + b"a: b\r\n" * 100 + b"\r\nx\r\n--limit--",
    ],
)
def test_a_malformed_upload_is_refused_and_leaves_nothing(
    page: Demo, client: httpx.Client, body: bytes
) -> None:
    before = set(_uploads(page))
    headers = {"Content-Type": "multipart/form-data; boundary=limit"}
    assert client.post(f"{API}/upload", content=body, headers=headers).status_code == 400
    assert set(_uploads(page)) <= before


def test_a_compressed_upload_is_kept_decompressed(client: httpx.Client, digit_png: Path) -> None:
    form = _PART % (b"files", b'; filename="a.png"') + b"--limit--"
    content = form.replace(b"\r\n\r\nx", b"\r\n\r\n" + digit_png.read_bytes())
    headers = {"Content-Type": "multipart/form-data; boundary=limit", "Content-Encoding": "gzip"}
    (path,) = client.post(f"{API}/upload", content=gzip.compress(content), headers=headers).json()
    assert client.get(f"{API}/file={path}").content == digit_png.read_bytes()
    bomb = gzip.compress(form.replace(b"\r\n\r\nx", b"\r\n\r\n" + bytes(2**21)))
    assert client.post(f"{API}/upload", content=bomb, headers=headers).status_code == 413


def test_a_disk_that_takes_nothing_is_said() -> None:
    files = PageFiles(2**20)
    path = files.begin("a", ".png")
    files.close()
    for refused in (lambda: files.append(path, b"x"), lambda: files.begin("a", ".png")):
        with pytest.raises(RequestError) as raised:
            refused()
        assert raised.value.status == 503


def test_bytes_are_counted_by_client_and_in_all() -> None:
    files = PageFiles(2**20)
    half = bytes(32 * 2**20)
    try:
        for client in "aabbccdd":
            files.append(files.begin(client, ".png"), half)
        for client in "ae":
            with pytest.raises(RequestError) as refused:
                files.append(files.begin(client, ".png"), b"x")
            assert refused.value.status == 429
    finally:
        files.close()
    assert not files.folder.exists()


def test_the_folder_of_a_killed_server_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    killed = os.fork()
    if killed == 0:
        PageFiles(1)
        os._exit(0)
    os.waitpid(killed, 0)
    living = PageFiles(1)
    (left,) = tmp_path.glob("vision-zoo-page-*")
    assert left == living.folder
    another = PageFiles(1)
    assert living.folder.exists()
    living.close()
    another.close()


def test_a_file_that_is_too_large_is_refused_in_the_browser(
    browser: Browser, page: Demo, tmp_path: Path
) -> None:
    file = tmp_path / "large.png"
    file.write_bytes(bytes(2 * 2**20))
    with browser.new_context() as context:
        shown = context.new_page()
        shown.goto(f"{page.url}/demo")
        wait_for_pad(shown)
        shown.get_by_role("tab", name="Drop an image").click()
        shown.locator("#picture input[type=file]").first.set_input_files(str(file))
        toast = shown.locator(".toast-body")
        expect(toast).to_contain_text("exceed the maximum allowed size of 1.0 Mb")
