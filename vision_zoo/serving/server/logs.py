"""One JSON object a line on stderr, with the request's id. Nothing waits until a line is written."""

import contextlib
import io
import json
import logging
import sys
import time
from collections.abc import Iterator
from typing import Any

import orjson

from vision_zoo.serving.server.log_writer import LogWriter

_STANDARD = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}
_LONGEST_TEXT = 1000
_LONGEST_TRACEBACK = 8000

_writer: LogWriter | None = None


class JsonFormatter(logging.Formatter):
    """`time` (UTC), `level`, `logger`, `message`, and whatever `extra` carries."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        entry = _entry(record.levelname.lower(), record.name, record.getMessage(), record.created)
        entry |= {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)[-_LONGEST_TRACEBACK:]
        return _line(entry)


def access(**fields: Any) -> None:
    """One answered request, as a record of the logger `vision_zoo.access` would be.

    Written directly: a record's way through `logging` takes as long as a small model.
    """
    write(_line(_entry("info", "vision_zoo.access", "request", time.time()) | fields))


def write(line: str) -> None:
    """One line on stderr: at once, or through the writer of `never_waiting`."""
    if _writer is None:
        sys.stderr.write(f"{line}\n")
    else:
        _writer.put(f"{line}\n".encode(errors="backslashreplace"))


@contextlib.contextmanager
def never_waiting() -> Iterator[None]:
    """Write to stderr without ever waiting for it; likewise what libraries print to it or to stdout.

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
            write(self.format(record))
        except Exception:  # noqa: BLE001  (what cannot be logged must not break an answer)
            write(_line(_entry("error", "vision_zoo.server", "a record cannot be logged", record.created)))


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
            write(line)
        if len(self._begun) > _LONGEST_TRACEBACK:
            self.flush()
        return len(text)

    def flush(self) -> None:
        begun, self._begun = self._begun, ""
        if begun:
            write(begun)


def _entry(level: str, logger: str, message: str, seconds: float) -> dict[str, Any]:
    clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return {
        "time": f"{clock}.{int(seconds % 1 * 1000):03d}Z",
        "level": level,
        "logger": logger,
        "message": message,
    }


def _line(entry: dict[str, Any]) -> str:
    """`entry` as JSON in printable ASCII: what a client sent cannot end the line, nor reach a terminal."""
    path = entry.get("path")
    if path is not None and len(path) > _LONGEST_TEXT:
        entry["path"] = f"{path[:_LONGEST_TEXT]}…"
    try:
        line = orjson.dumps(entry, default=str)
        if line.isascii() and b"\x7f" not in line:
            return line.decode()
    except orjson.JSONEncodeError:  # such as a file's name that is no Unicode
        pass
    return json.dumps(entry, default=str)


def _dropped(count: int) -> bytes:
    entry = _entry("warning", "vision_zoo.server", "log lines were dropped", time.time())
    return f"{_line(entry | {'dropped': count})}\n".encode()
