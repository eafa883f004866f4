import os
import socket
from pathlib import Path

import pytest

from vision_zoo.core import regular_file

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes and devices that have a path")


def test_a_file_and_a_link_to_it_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert regular_file.read(tmp_path / "file", max_bytes=7) == b"content"
    assert regular_file.read(tmp_path / "link", max_bytes=7) == b"content"


def test_a_larger_file_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(OSError, match="more than 1,000"):
        regular_file.read(tmp_path / "file", max_bytes=1000)


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/null"])
def test_a_link_to_a_device_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(OSError, match="Not a regular file"):
        regular_file.read(tmp_path / "link", max_bytes=1000)


def test_a_pipe_without_a_writer_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="Not a regular file"):
        regular_file.read(tmp_path / "pipe", max_bytes=1000)


def test_a_socket_a_folder_and_nothing_are_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        with pytest.raises(OSError, match="Not a regular file"):
            regular_file.read(tmp_path / "socket", max_bytes=1000)
    with pytest.raises(IsADirectoryError):
        regular_file.read(tmp_path, max_bytes=1000)
    with pytest.raises(FileNotFoundError):
        regular_file.read(tmp_path / "nothing", max_bytes=1000)
