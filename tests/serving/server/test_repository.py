"""A models folder that changes, and files in it that do harm."""

import errno
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.serving import hostile_models
from tests.serving.server.conftest import Server, infer_request, running, until
from vision_zoo.artifact import manifest
from vision_zoo.serving import model_check
from vision_zoo.serving.model_check import Checked, ModelChecker
from vision_zoo.serving.server.errors import RequestError
from vision_zoo.serving.server.repository import Repository

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes, limits and signals")
_NEEDS_PROC = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="looks for child processes in /proc"
)


@pytest.fixture
def folder(exported_model: Path, tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return Path(shutil.copy(exported_model, tmp_path / "models" / "good.onnx")).parent


@pytest.fixture(scope="module")
def endless(exported_model: Path) -> bytes:
    return hostile_models.endless(exported_model)


def _opened(folder: Path, clock: Callable[[], float] = time.monotonic) -> Repository:
    opened = Repository(folder, provider="cpu", clock=clock)
    opened.refresh()
    return opened


def test_harmful_files_are_refused_and_the_others_served(
    folder: Path, exported_model: Path, endless: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_check, "CPU_SECONDS", 3)
    (folder / "a_endless.onnx").write_bytes(endless)
    (folder / "b_enormous.onnx").write_bytes(hostile_models.enormous(exported_model))
    os.mkfifo(folder / "c_pipe.onnx")
    (folder / "d_device.onnx").symlink_to("/dev/zero")
    (folder / "e_folder.onnx").mkdir()
    (folder / "f_nothing.onnx").symlink_to("nowhere")
    (folder / "g_itself.onnx").symlink_to("g_itself.onnx")
    with (folder / "h_huge.onnx").open("wb") as huge:
        huge.truncate(2**40)
    (folder / "i_linked.onnx").symlink_to("good.onnx")
    opened = _opened(folder)
    assert sorted(opened.sessions) == ["good", "i_linked"]
    expected = {
        "a_endless": "takes more than 3 s",
        "b_enormous": "takes too much memory",
        "c_pipe": "Not a regular file",
        "d_device": "Not a regular file",
        "e_folder": "Is a directory",
        "f_nothing": "does not exist",
        "g_itself": "symbolic links",
        "h_huge": "more than 536,870,912",
    }
    assert opened.failures.keys() == expected.keys()
    for name, reason in expected.items():
        assert reason in opened.failures[name]


def test_names_that_no_client_can_use_are_refused_and_listed_in_ascii(folder: Path) -> None:
    for unusable in (b"a\nb", b"not \xff UTF-8", b"control\x01"):
        shutil.copy(folder / "good.onnx", folder / f"{os.fsdecode(unusable)}.onnx")
    for name in ("a b", "what?", 'it\'s "quoted"', "50%2F", "größe", "#1"):
        shutil.copy(folder / "good.onnx", folder / f"{name}.onnx")
    opened = _opened(folder)
    assert sorted(opened.sessions) == sorted(
        ["good", "a b", "what?", 'it\'s "quoted"', "50%2F", "größe", "#1"]
    )
    assert sorted(opened.failures) == sorted(["a\\nb", "not \\udcff UTF-8", "control\\x01"])
    assert all("rename the file" in reason and reason.isascii() for reason in opened.failures.values())


def test_labels_that_break_lists_are_refused(folder: Path, exported_model: Path) -> None:
    content = hostile_models.with_metadata(exported_model, labels=[*"012345678", "\ud800"])
    (folder / "surrogate.onnx").write_bytes(content)
    opened = _opened(folder)
    assert list(opened.sessions) == ["good"]
    assert "not a single line" in opened.failures["surrogate"]


def test_a_refused_file_is_loaded_once_its_manifest_fits(folder: Path, exported_model: Path) -> None:
    content = hostile_models.with_metadata(exported_model, dataset="another")
    manifest.publish(folder / "good.onnx", exported_model.read_bytes())
    opened = _opened(folder)
    # A copying program brings the file first and its manifest later.
    (folder / "good.onnx").write_bytes(content)
    opened.refresh()
    assert "does not match its checksum" in opened.failures["good"]
    assert opened.session("good").metadata.dataset == "mnist-5k"
    manifest.publish(folder / "good.onnx", content)
    opened.refresh()
    assert not opened.failures
    assert opened.session("good").metadata.dataset == "another"


def test_a_refused_file_is_tried_again_after_a_while(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Path] = []
    check = ModelChecker.check

    def recorded(self: ModelChecker, paths: Sequence[Path]) -> Iterator[Checked]:
        tried.extend(paths)
        return check(self, paths)

    monkeypatch.setattr(ModelChecker, "check", recorded)
    (folder / "good.onnx").write_bytes(b"damaged")
    now = [0.0]
    opened = _opened(folder, lambda: now[0])
    opened.refresh()
    assert len(tried) == 1
    now[0] = 31
    opened.refresh()
    opened.refresh()
    assert len(tried) == 2
    now[0] = 31 + 59
    opened.refresh()
    assert len(tried) == 2
    with pytest.raises(RequestError, match="cannot be loaded"):
        opened.session("good")


@pytest.mark.parametrize("error", [RecursionError, MemoryError, UnicodeError, KeyError, OSError])
def test_whatever_a_file_raises_the_others_are_loaded(
    folder: Path, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(folder / "good.onnx", folder / "another.onnx")
    opened = Repository(folder, provider="cpu")
    load = opened._open

    def raising(path: Path, sha256: str) -> object:
        if path.stem == "another":
            raise error
        return load(path, sha256)

    monkeypatch.setattr(opened, "_open", raising)
    opened.refresh()
    assert list(opened.sessions) == ["good"]
    assert error.__name__ in opened.failures["another"]


def test_only_what_was_checked_is_loaded(
    folder: Path, exported_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Repository(folder, provider="cpu")
    load = opened._open

    def replaced(path: Path, sha256: str) -> object:
        path.write_bytes(hostile_models.with_metadata(exported_model, dataset="another"))
        return load(path, sha256)

    monkeypatch.setattr(opened, "_open", replaced)
    opened.refresh()
    assert "was replaced while it was loaded" in opened.failures["good"]


def test_where_no_process_can_be_started_nothing_is_loaded_unchecked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    now = [0.0]
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", refuse)
        opened = _opened(folder, lambda: now[0])
    assert not opened.sessions
    assert "cannot be checked (Resource temporarily unavailable)" in opened.failures["good"]
    now[0] = 31
    opened.refresh()
    assert list(opened.sessions) == ["good"]


def test_closing_ends_a_check_and_later_ones_load_nothing(folder: Path, endless: bytes) -> None:
    (folder / "another.onnx").write_bytes(endless)
    opened = Repository(folder, provider="cpu")
    refreshing = threading.Thread(target=opened.refresh)
    refreshing.start()
    until(lambda: opened._checker._process is not None)
    opened.close()
    refreshing.join(timeout=300)
    assert not refreshing.is_alive()
    opened.refresh()
    assert not opened.sessions
    assert not opened.failures


def _is_served_and_listed(started: Server, name: str) -> None:
    with httpx.Client(base_url=started.url, timeout=60) as client:
        path = f"/v2/models/{quote(name, safe='')}"
        assert client.get(f"{path}/ready").json() == {"name": name, "ready": True}
        assert client.post(f"{path}/infer", json=infer_request()).json()["model_name"] == name
        assert name in [model["name"] for model in client.get("/v1/models").json()]
        index = {entry["name"]: entry["state"] for entry in client.post("/v2/repository/index").json()}
        assert index == {"good": "READY", name: "READY", "broken\\n": "UNAVAILABLE"}
        assert client.get("/metrics").status_code == 200


def _children(process: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{process}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@_NEEDS_PROC
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_that_is_ended_while_it_checks_an_endless_model(
    folder: Path, endless: bytes, tmp_path: Path, end: signal.Signals
) -> None:
    odd = "what? 'it's' \"50%2F\" größe #1"
    shutil.copy(folder / "good.onnx", folder / f"{odd}.onnx")
    shutil.copy(folder / "good.onnx", folder / "broken\n.onnx")
    with running(folder, tmp_path / "log", "--reload", "0.1", own=True) as started:
        _is_served_and_listed(started, odd)
        (folder / "another.onnx").write_bytes(endless)
        until(lambda: bool(_children(started.process.pid)))
        children = _children(started.process.pid)
        assert httpx.get(f"{started.url}/v2/health/live", timeout=60).status_code == 200
        started.process.send_signal(end)
        assert started.process.wait(timeout=300) == (0 if end == signal.SIGTERM else -end)
        until(lambda: not any(_is_alive(child) for child in children))
