import os
from pathlib import Path

import pytest

from vision_zoo.core import atomic
from vision_zoo.core.errors import StorageError


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    atomic.write_bytes(tmp_path / "file", b"old")
    atomic.write_bytes(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    atomic.write_bytes(tmp_path / "file", b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="the disk is full"):
        atomic.write_bytes(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot flush a folder")
def test_folders_are_flushed_after_their_entries_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = []
    fsync = os.fsync

    def recorded(descriptor: int) -> None:
        flushed.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    atomic.write_bytes(tmp_path / "new" / "file", b"1")
    file, folder = (path.stat().st_ino for path in (tmp_path / "new" / "file", tmp_path / "new"))
    assert flushed == [tmp_path.stat().st_ino, file, folder]
    flushed.clear()
    atomic.write_keeping_former(tmp_path / "new" / "file", b"2", former=tmp_path / "new" / "former")
    assert flushed == [(tmp_path / "new" / "file").stat().st_ino, folder]


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_a_file_follows_the_umask(tmp_path: Path) -> None:
    former = os.umask(0o027)
    try:
        atomic.write_text(tmp_path / "file", "text")
    finally:
        os.umask(former)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_a_folder_inside_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="a file of that name is in the way"):
        atomic.write_text(tmp_path / "file" / "child", "text")
