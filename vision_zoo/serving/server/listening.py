"""The sockets that a server listens on, and how many files its process may open."""

import os
import socket
import sys

from vision_zoo.core.errors import DeviceError
from vision_zoo.serving.server.settings import ServerSettings

BACKLOG = 1024
ACCEPTS_A_ROUND, FEW_ACCEPTS_A_ROUND = 64, 16
"""libuv accepts one connection of a socket in each round of the event loop: while there is much to do, too few.

A probe waits behind all that came before it. Each takes a file, so there are fewer where files are few.
"""
_OTHER_FILES = 130
"""That a server opens beside its connections: models, the page, the log."""
_FEWEST_CONNECTIONS = 16


def listen(host: str, port: int, *, count: int = 1) -> list[socket.socket]:
    """Listen on one port with `count` sockets, among which Linux shares out new connections.

    Elsewhere all are the same one. Raises DeviceError if the port is in use or may not be opened.
    """
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        opened = [socket.socket(family, kind, number)]
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a host name"
        raise DeviceError(f"cannot listen on {host[:100]} ({reason}); choose another --host") from error
    try:
        if os.name == "posix":  # on Windows it would let two servers have one port
            opened[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened[0].bind(address)
        shared = count > 1 and sys.platform == "linux"
        if shared:  # only now: no other server can have the port, nor get it
            opened[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened[0].listen(BACKLOG)
        while len(opened) < count:
            opened.append(socket.socket(family, kind, number) if shared else opened[0].dup())
            if shared:
                opened[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                opened[-1].bind(opened[0].getsockname())
                opened[-1].listen(BACKLOG)
    except OSError as error:
        for one in opened:
            one.close()
        raise DeviceError(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another --port or --host"
        ) from error
    return opened


def accepting(listening: socket.socket, times: int) -> list[socket.socket]:
    """The sockets that the event loop accepts from, so many times a round.

    Windows' event loop refuses the same socket twice, and accepts as many as there are anyway.
    """
    return [listening, *(listening.dup() for _ in range(times - 1 if os.name == "posix" else 0))]


def announce(settings: ServerSettings, listening: socket.socket) -> None:
    """Print where the server answers."""
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    what = "serving the page" if settings.demo else "serving"
    several = f" with {settings.workers} processes" if settings.workers > 1 else ""
    print(f"{what} at http://{shown}:{port}{settings.root_path}{several} (Ctrl-C to stop)", file=sys.stderr)


def affordable(wanted: int) -> tuple[int, int]:
    """How many connections this process may have open, and how many more may wait to be accepted.

    Raises:
        DeviceError: next to none.
    """
    if sys.platform == "win32":
        return wanted, BACKLOG
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + BACKLOG + _OTHER_FILES + ACCEPTS_A_ROUND
    if soft < needed and soft != resource.RLIM_INFINITY:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted, BACKLOG
    # Those that wait are accepted all at once, before the first of them can be closed.
    backlog = max(1, min(BACKLOG, (soft - _OTHER_FILES) // 3))
    connections = min(wanted, soft - _OTHER_FILES - backlog)
    if connections < min(wanted, _FEWEST_CONNECTIONS):
        raise DeviceError(
            f"the limit of open files is {soft}; expected {_OTHER_FILES + 2 * _FEWEST_CONNECTIONS} or more: "
            "raise `ulimit -n`"
        )
    if connections < wanted:
        print(
            f"warning: {connections} connections instead of {wanted}: the limit of open files is {soft} "
            "(`ulimit -n`)",
            file=sys.stderr,
        )
    return connections, backlog
