"""A process that decodes image files, and that the server can kill.

It ends with its standard input: no decoder outlives its server. Decoding may take no more memory than the number of
pixels allows.
"""

import contextlib
import json
import os
import queue
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import orjson

from vision_zoo.core.errors import ImageError
from vision_zoo.images.preprocess import InputFormat
from vision_zoo.serving.server.decoding import decode_files, probe_files
from vision_zoo.serving.server.errors import RequestError
from vision_zoo.serving.server.uploads import read_upload

_FRAME = struct.Struct(">IQ")
_SPARE_BYTES = 48 * 2**20
_TIRED_BYTES = 64 * 2**20
"""A process that has kept so much memory after a request is not used again."""


def send(stream: BinaryIO, header: dict[str, Any], payload: Sequence[bytes] = ()) -> None:
    """Write one message; OSError if nobody reads."""
    text = orjson.dumps(header)
    stream.write(_FRAME.pack(len(text), sum(map(len, payload))) + text)
    stream.writelines(payload)
    stream.flush()


def receive(stream: BinaryIO, *, max_bytes: int) -> tuple[dict[str, Any], bytes]:
    """Read one message; EOFError if nobody writes any more, ValueError for no message or more than `max_bytes`."""
    size, payload_size = _FRAME.unpack(_exactly(stream, _FRAME.size))
    if size + payload_size > max_bytes:
        raise ValueError("the message is too long")
    header = orjson.loads(_exactly(stream, size))
    if not isinstance(header, dict):
        raise ValueError("the message has no header")
    return header, _exactly(stream, payload_size)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError
    return content


_START = (
    "import json, os, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "hasattr(os, 'nice') and os.nice(5); "
    "from vision_zoo.serving.server.decoder_process import main; main()"
)
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}


class Process(subprocess.Popen[bytes]):
    """A process that runs `main`; OSError if it cannot be started."""

    def __init__(self) -> None:
        environment = {name: value for name, value in os.environ.items() if "API_KEY" not in name}
        super().__init__(
            [sys.executable, "-c", _START, json.dumps([str(path) for path in sys.path])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**environment, **_ONE_THREAD},
        )

    def send(self, header: dict[str, Any], payload: Sequence[bytes] = ()) -> None:
        """Write one message; OSError where the process has ended."""
        send(cast(BinaryIO, self.stdin), header, payload)

    def receive(self, max_bytes: int) -> tuple[dict[str, Any], bytes]:
        """Read one message; EOFError where the process has ended, ValueError for a malformed message."""
        return receive(cast(BinaryIO, self.stdout), max_bytes=max_bytes)

    def end(self) -> int:
        """Kill it, wait, and close its pipes: its exit code."""
        self.kill()
        code = self.wait()
        for stream in (self.stdin, self.stdout):
            with contextlib.suppress(OSError):
                cast(BinaryIO, stream).close()
        return code


def main() -> None:
    """Decode until the standard input ends."""
    # Ctrl-C and a service manager signal the whole group; the server finishes what has begun.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # where memory runs out, this process goes before the server
        Path("/proc/self/oom_score_adj").write_text("1000")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that a library prints comes between the answers
    messages: queue.SimpleQueue[tuple[dict[str, Any], bytes]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(messages,), daemon=True).start()
    at_rest = _resident_bytes()
    while True:
        answer, payload = _answer(messages, answers)
        _limit_memory(None)
        send(answers, {**answer, "tired": _resident_bytes() - at_rest > _TIRED_BYTES}, [payload])


def _listen(messages: "queue.SimpleQueue[tuple[dict[str, Any], bytes]]") -> None:
    try:
        while True:
            messages.put(receive(sys.stdin.buffer, max_bytes=sys.maxsize))
    finally:
        os._exit(0)


def _answer(
    messages: "queue.SimpleQueue[tuple[dict[str, Any], bytes]]", answers: BinaryIO
) -> tuple[dict[str, Any], bytes]:
    request, body = messages.get()
    max_pixels = request["max_pixels"]
    # WebP's decoder makes room for the picture, twice, when a file is opened; it uses it later.
    _limit_memory(_SPARE_BYTES + 4 * len(body) + 8 * max_pixels)
    try:
        upload = read_upload(body, request["content_type"], max_files=request["max_files"])
        probed = probe_files(upload.files, max_pixels=max_pixels)
    except RequestError as error:
        return {"status": error.status, "error": error.message}, b""
    except MemoryError:
        return {"status": 422, "error": "the request needs more memory than available; make it smaller"}, b""
    send(answers, {"pixels": max((header.pixels for header in probed.headers), default=0)})
    granted, _ = messages.get()
    _limit_memory(_SPARE_BYTES + granted["bytes"])
    decoded = decode_files(probed.files, InputFormat(**request["input"]), max_pixels=max_pixels)
    return (
        {
            "several": upload.several,
            "errors": [
                (type(one).__name__, str(one)) if isinstance(one, ImageError) else None for one in decoded
            ],
        },
        b"".join(one.tobytes() for one in decoded if isinstance(one, np.ndarray)),
    )


def _limit_memory(more: int | None) -> None:
    """Let this process take `more` bytes than it has now; None lifts the limit. Only Linux tells and keeps to it."""
    if sys.platform != "linux":
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    soft = hard
    if more is not None:
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        soft = now + more if hard == resource.RLIM_INFINITY else min(now + more, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _resident_bytes() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
