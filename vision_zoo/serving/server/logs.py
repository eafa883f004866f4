"""One JSON object a line on stderr, with the request's id."""

import logging
import sys
import time
from typing import Any

import orjson

_STANDARD = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}


class JsonFormatter(logging.Formatter):
    """`time` (UTC), `level`, `logger`, `message`, and whatever `extra` carries."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        entry: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(entry, default=str).decode()


def timestamp(seconds: float) -> str:
    """UTC in ISO 8601, with milliseconds."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(seconds % 1 * 1000):03d}Z"


def access(**fields: Any) -> None:
    """One answered request, as a record of the logger `vision_zoo.access` would be.

    Written directly: a record's way through `logging` takes as long as a small model.
    """
    entry = {
        "time": timestamp(time.time()),
        "level": "info",
        "logger": "vision_zoo.access",
        "message": "request",
    }
    sys.stderr.write(f"{orjson.dumps(entry | fields, default=str).decode()}\n")


def configure(level: int = logging.INFO) -> None:
    """Send this package's and uvicorn's records to stderr as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    for name in ("vision_zoo", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level)
        logger.propagate = False
