"""Resources of decoding: processes and memory."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, cast

from vision_zoo.serving.server.decoder_process import receive, send

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from vision_zoo.serving.server.decoder_process import main; main()"
)
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}


class Process:
    """A process that runs `main` of `decoder_process`; OSError if it cannot be started."""

    def __init__(self) -> None:
        environment = {name: value for name, value in os.environ.items() if "API_KEY" not in name}
        self._process = subprocess.Popen(  # noqa: S603  (ourselves)
            [sys.executable, "-c", _START, json.dumps([str(path) for path in sys.path])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**environment, **_ONE_THREAD},
        )

    def send(self, header: dict[str, Any], payload: Sequence[bytes] = ()) -> None:
        """Write one message; raises OSError where the process has ended."""
        send(cast(BinaryIO, self._process.stdin), header, payload)

    def receive(self, max_bytes: int) -> tuple[dict[str, Any], bytes]:
        """Read one message; raises EOFError where the process has ended, ValueError for a malformed message."""
        return receive(cast(BinaryIO, self._process.stdout), max_bytes=max_bytes)

    def is_running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> int:
        """Kill it, wait, and close its pipes: its exit code."""
        self._process.kill()
        code = self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                cast(BinaryIO, stream).close()
        return code


class Memory:
    """Bytes that all decoding shares; for threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = size
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def held(self, size: int, stopped: Callable[[], bool]) -> Iterator[None]:
        """Wait for `size` bytes, and keep them meanwhile; raises EOFError where `stopped` comes first."""
        size = max(0, min(size, self._size))
        with self._changed:
            self._changed.wait_for(lambda: self._free >= size or stopped())
            if stopped():
                raise EOFError
            self._free -= size
        try:
            yield
        finally:
            with self._changed:
                self._free += size
                self._changed.notify_all()

    def wake(self) -> None:
        """Let those that wait look whether they have been stopped."""
        with self._changed:
            self._changed.notify_all()
