import threading
from pathlib import Path

import pytest

from vision_zoo import manifest
from vision_zoo.errors import ModelError, StorageError


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
