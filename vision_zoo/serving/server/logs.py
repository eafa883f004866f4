"""Logging as one JSON object per line on stderr, with the request id, without blocking."""

import contextlib
import functools
import io
import json
import logging
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson

_STANDARD = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}
_LONGEST_PATH = 1000
_LONGEST_TRACEBACK = 8000

_MAX_BYTES = 8 * 2**20
_PAUSE_SECONDS = 0.05
"""Between two writes: under load a thread that woke at every line would slow the requests down."""
_PIECE_BYTES = 4096
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
                # What several processes write into one pipe is mixed in pieces of this size.
                end = content.rfind(b"\n", written, written + _PIECE_BYTES) + 1 or len(content)
                try:
                    written += os.write(self._descriptor, memoryview(content)[written:end])
                except BlockingIOError:  # somebody who shares the descriptor made it so
                    select.select([], [self._descriptor], [], _RETRY_SECONDS)
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


_writer: LogWriter | None = None


class JsonFormatter(logging.Formatter):
    """`time` (UTC), `level`, `logger`, `message`, and whatever `extra` carries."""

    def format(self, record: logging.LogRecord) -> str:
        entry = _entry(record.levelname.lower(), record.name, record.getMessage(), record.created)
        entry |= {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)[-_LONGEST_TRACEBACK:]
        return _json_line(entry).decode().rstrip("\n")


def access(status: int, error: str | None, **fields: Any) -> None:
    """Log one answered request, as a record of the logger `vision_zoo.access` would be.

    Written directly: a record's way through `logging` takes as long as a small model.
    """
    entry = _entry("info", "vision_zoo.access", "request", time.time())
    entry.update(fields)
    entry["status"] = status
    if error is not None:
        entry["error"] = error
    _write(_json_line(entry))


def _write(line: bytes) -> None:
    """One line on stderr: at once, or through the writer of `never_waiting`."""
    if _writer is None:
        sys.stderr.write(line.decode())
    else:
        _writer.put(line)


@contextlib.contextmanager
def never_waiting() -> Iterator[None]:
    """Write stderr, and what libraries print to it or to stdout, without ever waiting.

    Lines are dropped, and counted, while stderr cannot be written or is not read.
    """
    global _writer  # noqa: PLW0603  (a process has one stderr)
    _writer = LogWriter(2, notice=_dropped)
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Printed(), _Printed()
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
        _writer.close()
        _writer = None


def dropped_lines() -> int:
    """Lines that could not be written."""
    return 0 if _writer is None else _writer.dropped


def configure(level: int = logging.INFO) -> None:
    """Send this package's and uvicorn's records, and warnings of all others, to stderr as JSON."""
    handler = _Handler()
    handler.setFormatter(JsonFormatter())
    for name in ("vision_zoo", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level)
        logger.propagate = False
    if _writer is not None:  # else the process is somebody else's
        logging.getLogger().handlers[:] = [handler]


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = f"{self.format(record)}\n".encode()
        except Exception:  # noqa: BLE001  (what cannot be logged must not break an answer)
            failed = _entry("error", "vision_zoo.server", "a record cannot be logged", record.created)
            line = _json_line(failed)
        _write(line)


class _Printed(io.TextIOBase):
    """What is printed, line by line."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self._begun = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            _write(_text_line(line))
        if len(self._begun) > _LONGEST_TRACEBACK:
            self.flush()
        return len(text)

    def flush(self) -> None:
        begun, self._begun = self._begun, ""
        if begun:
            _write(_text_line(begun))


def _entry(level: str, logger: str, message: str, seconds: float) -> dict[str, Any]:
    return {
        "time": f"{_second(int(seconds))}.{int(seconds % 1 * 1000):03d}Z",
        "level": level,
        "logger": logger,
        "message": message,
    }


@functools.lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _json_line(entry: dict[str, Any]) -> bytes:
    """`entry` as JSON in printable ASCII: what a client sent cannot end the line, nor reach a terminal."""
    path = entry.get("path")
    if path is not None and len(path) > _LONGEST_PATH:
        entry["path"] = f"{path[:_LONGEST_PATH]}…"
    try:
        line = orjson.dumps(entry, default=str, option=orjson.OPT_APPEND_NEWLINE)
        if line.isascii() and b"\x7f" not in line:
            return line
    except orjson.JSONEncodeError:  # such as a file's name that is no Unicode
        pass
    return _text_line(json.dumps(entry, default=str))


def _text_line(text: str) -> bytes:
    return f"{text}\n".encode(errors="backslashreplace")


def _dropped(count: int) -> bytes:
    entry = _entry("warning", "vision_zoo.server", "log lines were dropped", time.time())
    return _json_line(entry | {"dropped": count})
