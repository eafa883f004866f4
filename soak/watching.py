"""What an attack does to a server: its memory, and how long its probes wait."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.serving.server import bombs
from tests.serving.server.conftest import Server

LARGEST_GROWTH_MIB = 600
LONGEST_LIVE_MS = 250
LONGEST_END_SECONDS = 30

OWN_SESSION = ("setsid",)
"""Before the command of a server that is watched: the kernel shares the processors out between sessions."""

# In a process of its own: the attackers' threads would delay it.
_LIVE = """
import http.client, select, sys, time
connection, longest = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60), 0.0
while not select.select([sys.stdin], [], [], 0.02)[0]:
    started = time.perf_counter()
    connection.request("GET", "/v2/health/live")
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200
    longest = max(longest, time.perf_counter() - started)
    if sys.argv[2] == "new":
        connection.close()
print(1e3 * longest)
"""


@contextmanager
def watched(server: Server, *, new_connections: bool = False) -> Iterator[dict[str, float]]:
    """The growth of the memory (`mib`) and the slowest probe (`live_ms`), told at the end.

    The server is started with the prefix `OWN_SESSION`. `new_connections` opens one for each probe, as a load balancer
    does, instead of keeping one.
    """
    _prefer(server.process.pid)
    idle = bombs.resident_mib(server)
    seen = {"mib": 0.0, "live_ms": float("inf")}
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.01):
            seen["mib"] = max(seen["mib"], bombs.resident_mib(server) - idle)

    looking = threading.Thread(target=look)
    command = [sys.executable, "-c", _LIVE, str(server.port), "new" if new_connections else "kept"]
    pipe = subprocess.PIPE
    probe = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
    # How long it waits for a processor itself is not the server's fault.
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(probe.pid, os.SCHED_FIFO, os.sched_param(1))
    looking.start()
    try:
        yield seen
    finally:
        done.set()
        looking.join()
        output, _ = probe.communicate()
    assert probe.returncode == 0  # else a probe was not answered 200
    seen["live_ms"] = float(output)


def _prefer(process: int) -> None:
    """Let a session run before others: what is measured is the server, not how busy the machine is."""
    with contextlib.suppress(OSError):  # not allowed, or no such groups
        Path(f"/proc/{process}/autogroup").write_text("-10")
        for thread in Path(f"/proc/{process}/task").iterdir():
            os.setpriority(os.PRIO_PROCESS, int(thread.name), -10)
