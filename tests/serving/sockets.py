"""Which addresses processes listen on, from Linux's own tables."""

import contextlib
import ipaddress
from collections.abc import Callable, Iterator
from pathlib import Path

_LISTENING = "0A"


def session_of(process: Path) -> int:
    """The session of a process, a folder in /proc."""
    return int((process / "stat").read_text().rpartition(")")[2].split()[3])


def _open_files(process: Path) -> Iterator[str]:
    for entry in (process / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile
            yield str(entry.readlink())


def listening(chosen: Callable[[Path], bool]) -> dict[int, str]:
    """Addresses by port on which processes listen; `chosen` takes a process's folder in /proc."""
    sockets = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            if chosen(process):
                sockets |= set(_open_files(process))
    found = {}
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENING and f"socket:[{fields[9]}]" in sockets:
                address, port = fields[1].split(":")
                words = [
                    bytes.fromhex(address[start : start + 8])[::-1] for start in range(0, len(address), 8)
                ]
                found[int(port, 16)] = str(ipaddress.ip_address(b"".join(words)))
    return found
