"""Files of the page: examples and uploads, which are deleted when no longer needed.

A path that was not given out here is no file of the page, whatever it names: nothing is looked up in the file system.
"""

import atexit
import contextlib
import secrets
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from vision_zoo.serving.server.errors import RequestError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".avif")
KEPT_SECONDS = 600
"""Of an upload that no open page holds."""

_PREFIX = "vision-zoo-page-"
_LOCK_NAME = "lock"
_CLIENT_FILES, _ALL_FILES = 32, 256
_CLIENT_BYTES = 64 * 2**20
_ALL_IN_CLIENTS = 4
_RETRY = {"Retry-After": "60"}


@dataclass
class _Upload:
    client: str
    size: int = 0
    complete: bool = False
    session: str | None = None
    added: float = field(default_factory=time.monotonic)


class PageFiles:
    """A folder of its own, removed at exit, for uploads of at most `largest` bytes.

    An upload belongs to the client that sent it, then to the first session that uses it, until that session uses
    another picture or none, or ends.
    """

    def __init__(self, largest: int) -> None:
        _remove_abandoned()
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
        self._alive = FileLock(self.folder / _LOCK_NAME, timeout=0, thread_local=False)
        self._alive.acquire()
        self._client_bytes = max(_CLIENT_BYTES, 2 * largest)
        self._examples: frozenset[str] = frozenset()
        self._uploads: dict[str, _Upload] = {}
        self._open_sessions: dict[str, int] = {}
        self._lock = threading.RLock()
        atexit.register(self.close)

    def keep_examples(self) -> None:
        """What lies in the folder now is everybody's, for good."""
        self._examples = frozenset(
            str(path) for path in self.folder.glob("*/*") if path.is_file() and not path.is_symlink()
        )

    def knows(self, path: str) -> bool:
        """Whether the page may be asked for this file."""
        if path in self._examples:
            return True
        upload = self._uploads.get(path)
        return upload is not None and upload.complete

    def begin(self, client: str, suffix: str) -> str:
        """Reserve an upload at an unguessable path; RequestError for too many (429) or a full disk (503)."""
        suffix = suffix.lower()
        path = self.folder / secrets.token_hex(16) / f"picture{suffix if suffix in SUFFIXES else ''}"
        with self._lock:
            self.sweep()
            mine = [upload for upload in self._uploads.values() if upload.client == client]
            if len(mine) >= _CLIENT_FILES or len(self._uploads) >= _ALL_FILES:
                raise _too_many()
            self._uploads[str(path)] = _Upload(client)
        try:
            path.parent.mkdir(mode=0o700)
            path.touch()
        except OSError as error:
            self.discard([str(path)])
            raise _disk_full() from error
        return str(path)

    def append(self, path: str, content: bytes) -> None:
        """Write the next part of an upload that has begun, whose bytes are counted before; RequestError as `begin`."""
        size = len(content)
        with self._lock:
            upload = self._uploads.get(path)
            if upload is None:  # it took so long that it was swept away
                raise _too_many()
            everybodys = list(self._uploads.values())
            of_client = sum(other.size for other in everybodys if other.client == upload.client)
            of_all = sum(other.size for other in everybodys)
            if of_client + size > self._client_bytes or of_all + size > _ALL_IN_CLIENTS * self._client_bytes:
                raise _too_many()
            upload.size += size
        try:
            with Path(path).open("ab") as file:  # not kept open: files are limited, clients may be slow
                file.write(content)
        except OSError as error:
            raise _disk_full() from error

    def complete(self, path: str) -> None:
        """All of an upload is there: it may be used."""
        with self._lock:
            if path in self._uploads:
                self._uploads[path].complete = True

    def discard(self, paths: list[str]) -> None:
        with self._lock:
            self._delete([path for path in paths if path in self._uploads])

    def use(self, path: str | None, *, client: str, session: str) -> None:
        """Set a session's picture or none, and delete the former one; RequestError if it is not this session's (403)."""
        with self._lock:
            if path is not None and path not in self._examples:
                upload = self._uploads.get(path)
                if (
                    upload is None
                    or not upload.complete
                    or upload.client != client
                    or upload.session not in (None, session)
                ):
                    raise foreign_file()
                upload.session = session
            self._delete([other for other in self._of(session) if other != path])

    def opened(self, session: str) -> None:
        """A page holds its session's picture until it is closed."""
        with self._lock:
            self._open_sessions[session] = self._open_sessions.get(session, 0) + 1

    def closed(self, session: str) -> None:
        """Delete what the session used, unless a second connection holds it."""
        with self._lock:
            left = self._open_sessions.pop(session, 1) - 1
            if left > 0:
                self._open_sessions[session] = left
            else:
                self._delete(self._of(session))

    def sweep(self) -> None:
        """Delete what nobody came back for."""
        with self._lock:
            oldest = time.monotonic() - KEPT_SECONDS
            self._delete(
                [
                    path
                    for path, upload in self._uploads.items()
                    if upload.added < oldest and upload.session not in self._open_sessions
                ]
            )

    def close(self) -> None:
        atexit.unregister(self.close)
        self._alive.release()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _of(self, session: str) -> list[str]:
        return [path for path, upload in self._uploads.items() if upload.session == session]

    def _delete(self, paths: list[str]) -> None:
        for path in paths:
            del self._uploads[path]
            shutil.rmtree(Path(path).parent, ignore_errors=True)


def foreign_file() -> RequestError:
    """The answer to a reference to a file that is not the visitor's."""
    return RequestError(403, "this picture was not uploaded here or is no longer available; choose it again")


def _too_many() -> RequestError:
    return RequestError(429, "too many pictures were uploaded; try again in a minute", _RETRY)


def _disk_full() -> RequestError:
    return RequestError(503, "the server cannot store an image now; try again later", _RETRY)


def _remove_abandoned() -> None:
    """Remove the folders of servers that were killed: nobody holds their locks any more."""
    for lock in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK_NAME}"):
        with contextlib.suppress(OSError, Timeout), FileLock(lock, timeout=0):
            shutil.rmtree(lock.parent)
