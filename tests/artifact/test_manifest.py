import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vision_zoo.artifact import manifest
from vision_zoo.core.errors import ModelError, StorageError


def test_a_published_file_is_verified(tmp_path: Path) -> None:
    manifest.publish(tmp_path / "m.onnx", b"content")
    manifest.verify(tmp_path / "m.onnx", b"content")
    with pytest.raises(ModelError, match="does not match its checksum"):
        manifest.verify(tmp_path / "m.onnx", b"contenT")


def test_a_file_that_no_manifest_lists_is_accepted(tmp_path: Path) -> None:
    manifest.verify(tmp_path / "m.onnx", b"content")


def test_publishing_keeps_the_other_entries(tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=manifest.publish, args=(tmp_path / f"{number}.onnx", b"x"))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(manifest.read(tmp_path)) == [f"{number}.onnx" for number in range(8)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"schema": 1, "models": 3}',
        '{"schema": 9, "models": {}}',
        '{"schema": 1, "models": {"m": 5}}',
        '{"schema": 1, "models": {"m": {"bytes": 1, "sha256": "%s", "replacement": 5}}}' % ("0" * 64),
    ],
)
def test_a_damaged_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ModelError, match="is damaged"):
        manifest.read(tmp_path)


def test_a_publication_that_fails_half_way_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest.publish(tmp_path / "m.onnx", b"old")
    replace = Path.replace

    def refuse_manifest(self: Path, target: Path) -> Path:
        if target.name == "manifest.json":
            raise OSError(1, "Operation not permitted")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse_manifest)
    with pytest.raises(StorageError, match=r"cannot write .*manifest\.json"):
        manifest.publish(tmp_path / "m.onnx", b"new")
    with pytest.raises(StorageError):
        manifest.publish(tmp_path / "n.onnx", b"new")
    monkeypatch.undo()
    manifest.verify(tmp_path / "m.onnx", b"old")
    assert {path.name for path in tmp_path.iterdir()} == {"m.onnx", "manifest.json", ".manifest.lock"}
    assert (tmp_path / "m.onnx").read_bytes() == b"old"


_KILLED = """
import os, signal, sys
from pathlib import Path
from vision_zoo.artifact import manifest

step, path, content = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3].encode()
replace = Path.replace
done = 0

def counted(self, target):
    global done
    if done == step:
        os.kill(os.getpid(), signal.SIGKILL)
    done += 1
    return replace(self, target)

Path.replace = counted
manifest.publish(path, content)
"""


def _publish_killed(step: int, path: Path, content: bytes) -> bool:
    """Publish in a process that is killed before its rename number `step`; whether it got that far."""
    arguments = [sys.executable, "-c", _KILLED, str(step), str(path), content.decode()]
    return subprocess.run(arguments, check=False, timeout=60).returncode != 0


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_process_killed_at_any_rename_leaves_the_old_pair_or_the_new_one(tmp_path: Path) -> None:
    found = []
    for step in range(10):
        path = tmp_path / str(step) / "m.onnx"
        manifest.publish(path, b"old")
        # Killed twice at the same point: the second process finds what the first one left.
        killed = [_publish_killed(step, path, content) for content in (b"new", b"newer")]
        assert manifest.verify(path, path.read_bytes())
        found.append((killed, path.read_bytes()))
        manifest.publish(path, b"last")
        assert json.loads((path.parent / "manifest.json").read_text())["models"]["m.onnx"].keys() == {
            "bytes",
            "sha256",
        }
        for content in (b"old", b"new", b"newer"):
            with pytest.raises(ModelError, match="does not match"):
                manifest.verify(path, content)
        if not any(killed):
            break
    assert [content for _, content in found] == [b"old", b"old", b"newer", b"newer"]


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
@pytest.mark.parametrize("step", [0, 1])
def test_a_first_publication_that_is_killed_leaves_no_file(tmp_path: Path, step: int) -> None:
    assert _publish_killed(step, tmp_path / "m.onnx", b"new")
    assert not (tmp_path / "m.onnx").exists()
    manifest.publish(tmp_path / "m.onnx", b"newer")
    assert manifest.verify(tmp_path / "m.onnx", b"newer")


def test_a_damaged_file_is_not_accepted_while_it_is_replaced(tmp_path: Path) -> None:
    manifest.publish(tmp_path / "m.onnx", b"old")
    (tmp_path / "m.onnx").write_bytes(b"damaged")
    assert _publish_killed(1, tmp_path / "m.onnx", b"new")
    with pytest.raises(ModelError, match="does not match"):
        manifest.verify(tmp_path / "m.onnx", b"damaged")


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_rename_that_fails_leaves_model_and_manifest_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    manifest.publish(tmp_path / "m.onnx", b"old")
    before = (tmp_path / "manifest.json").read_bytes()
    replace = Path.replace
    done = []

    def refuse(self: Path, target: Path) -> Path:
        done.append(target)
        if len(done) == failing + 1:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(StorageError, match="the disk is full"):
        manifest.publish(tmp_path / "m.onnx", b"new")
    assert (tmp_path / "m.onnx").read_bytes() == b"old"
    assert (tmp_path / "manifest.json").read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="pipes that have a path")
def test_a_manifest_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.json")
    with pytest.raises(ModelError, match="is damaged"):
        manifest.read(tmp_path)
