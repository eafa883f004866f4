"""Non-blocking log writer for a file descriptor that may be full, closed or never read."""

import os
import select
import threading
import time
from collections.abc import Callable

_MAX_BYTES = 8 * 2**20
_PAUSE_SECONDS = 0.005
"""Between two writes: under load a thread that woke at every line would slow the requests down."""
_RETRY_SECONDS = 0.2
_EXIT_SECONDS = 1.0


class LogWriter:
    """A bounded queue and the thread that writes it to `descriptor`; lines that do not fit are dropped and counted.

    `notice` makes the line that tells their number, written when writing works again.
    """

    def __init__(self, descriptor: int, *, notice: Callable[[int], bytes]) -> None:
        self._descriptor = descriptor
        self._notice = notice
        self._lock = threading.Lock()
        self._lines: list[bytes] = []
        self._bytes = 0
        self._wake = threading.Event()
        self._ending = False
        self._torn = False
        self._noticed = 0
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Queue a line, which ends in a newline."""
        with self._lock:
            if self._bytes + len(line) > _MAX_BYTES:
                self.dropped += 1
                return
            self._lines.append(line)
            self._bytes += len(line)
        if not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        """Write what is queued; a descriptor that takes too long is given up."""
        self._ending = True
        self._wake.set()
        self._thread.join(_EXIT_SECONDS)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            ending = self._ending  # read before the queue: nothing that was queued before is left
            with self._lock:
                lines, self._lines, self._bytes = self._lines, [], 0
            if lines:
                self._write(lines)
            if ending:
                return
            time.sleep(_PAUSE_SECONDS)

    def _write(self, lines: list[bytes]) -> None:
        unnoticed = self.dropped - self._noticed
        content = b"".join(lines)
        if unnoticed:
            content = self._notice(unnoticed) + content
        if self._torn:
            content = b"\n" + content  # after the part of a line that fitted
        written = 0
        try:
            while written < len(content):
                written += self._write_some(memoryview(content)[written:])
        except OSError:
            lost = content[written:].count(b"\n")
            with self._lock:
                self.dropped += min(lost, len(lines))
            if written:
                self._torn = not content[:written].endswith(b"\n")
            if not self._ending:
                time.sleep(_RETRY_SECONDS)
        else:
            self._torn = False
            self._noticed += unnoticed

    def _write_some(self, content: memoryview) -> int:
        try:
            return os.write(self._descriptor, content)
        except BlockingIOError:  # somebody who shares the descriptor made it so
            select.select([], [self._descriptor], [], _RETRY_SECONDS)
            return 0
