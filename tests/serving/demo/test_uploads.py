"""Uploads: what is wrong with them is said, and they lie on the disk no longer than they are needed."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.serving.demo.conftest import Demo
from tests.serving.demo.events import API, call, reference, upload
from vision_zoo.serving.demo.uploads import PageFiles
from vision_zoo.serving.server.errors import RequestError


@pytest.fixture
def page(small_page: Demo) -> Demo:
    return small_page


@pytest.fixture
def client(page: Demo) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=page.url, timeout=20) as opened:
        yield opened


def _uploads(page: Demo) -> list[Path]:
    folder = Path(page.examples()[0]).parent.parent
    return [file for file in folder.glob("*/picture*") if file.is_file()]


def _png(width: int, height: int) -> bytes:
    content = io.BytesIO()
    Image.new("1", (width, height)).save(content, "PNG")
    return content.getvalue()


BROKEN = {
    "no image": (b"not an image at all", "not an image"),
    "nothing": (b"", "not an image"),
    "half": (_png(600, 600)[:-30], "damaged"),
    "too many pixels": (_png(5000, 4000), "more than 16 million pixels"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_picture_that_cannot_be_used_is_one_line(page: Demo, client: httpx.Client, case: str) -> None:
    content, expected = BROKEN[case]
    kind, (shown, seen) = call(client, "classify", [reference(upload(client, content)), "fashion-mnist"])
    assert (kind, seen) == ("complete", None)
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


def test_bytes_are_counted_by_client_and_in_all() -> None:
    files = PageFiles(2**20)
    half = bytes(32 * 2**20)
    try:
        for client in "aabbccdd":
            files.add(client, "a.png", half)
        for client in "ae":
            with pytest.raises(RequestError) as refused:
                files.add(client, "a.png", b"x")
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
