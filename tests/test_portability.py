"""What other systems than Linux would trip over, found in the source."""

import ast
import os
import socket
from collections.abc import Iterator

import pytest

from tests.conftest import ROOT
from vision_zoo.serving.server import listening

_SOURCES = sorted((ROOT / "vision_zoo").rglob("*.py"))
_POSIX_MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"}
_POSIX_NAMES = {
    "fork", "geteuid", "getgid", "getpgid", "getuid", "killpg", "mkfifo", "posix_fallocate", "pread", "sched_getaffinity",
    "setsid", "statvfs", "sysconf",
}  # fmt: skip
_GUARDED = {
    ("core/environment.py", "sched_getaffinity"),
    ("core/environment.py", "sysconf"),
    ("serving/server/decoder_process.py", "sysconf"),
}
"""Looked for with hasattr, with AttributeError caught, or reached only where /proc is."""


def _trees() -> Iterator[tuple[str, ast.Module]]:
    for path in _SOURCES:
        yield path.relative_to(ROOT / "vision_zoo").as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def test_modules_that_only_posix_has_are_imported_where_they_are_used() -> None:
    for name, tree in _trees():
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                imported = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                assert not imported & _POSIX_MODULES, f"{name}:{node.lineno}"


def test_functions_that_only_posix_has_are_guarded() -> None:
    used = {
        (name, node.attr)
        for name, tree in _trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
        and node.attr in _POSIX_NAMES
    }
    assert used == _GUARDED


def test_text_files_are_read_and_written_as_utf_8() -> None:
    """Windows would take the encoding of its language."""
    for name, tree in _trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute | ast.Name):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            keywords = {keyword.arg for keyword in node.keywords}
            own = isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "atomic"
            read = called == "read_text" and "/proc" not in ast.unparse(node) and not node.args
            written = called == "write_text" and not own and "/proc" not in ast.unparse(node)
            csv = called == "open" and "newline" in keywords
            if read or written or csv:
                assert "encoding" in keywords, f"{name}:{node.lineno}"


@pytest.mark.parametrize(("system", "sockets"), [("posix", 3), ("nt", 1)])
def test_the_server_accepts_from_one_socket_on_windows(
    monkeypatch: pytest.MonkeyPatch, system: str, sockets: int
) -> None:
    with socket.socket() as opened:
        monkeypatch.setattr(os, "name", system)
        found = listening.accepting(opened, 3)
        monkeypatch.undo()
        assert len(found) == sockets
        for other in found[1:]:
            other.close()
