"""The served models of a folder: loaded once, and again when their files change."""

import ctypes
import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vision_zoo.artifact import manifest
from vision_zoo.artifact.metadata import is_one_line
from vision_zoo.core.errors import VisionZooError
from vision_zoo.serving.model_check import Checked, ModelChecker
from vision_zoo.serving.models import list_models
from vision_zoo.serving.server.errors import RequestError
from vision_zoo.serving.session import Session

VERSION = "1"
"""Every model has this one version: the file that lies in the folder."""

_LOG = logging.getLogger("vision_zoo.server")
_RETRY_SECONDS = 30.0
_LONGEST_RETRY_SECONDS = 3600.0

_Signature = tuple[int, ...] | None
_Signatures = tuple[_Signature, _Signature]


@dataclass(frozen=True)
class _Loaded:
    session: Session
    signature: _Signature


@dataclass(frozen=True)
class _Refused:
    """A file that cannot be loaded. It is tried again when it or the manifest beside it changes, and after a while."""

    signatures: _Signatures
    reason: str
    wait: float
    retry_at: float


class Repository:
    """Sessions by model name. Reading is lock-free; `refresh` is for one thread at a time.

    Files are tried out in another process before they are loaded. One that cannot be loaded is in `failures`, and its
    former version keeps serving. Models that vanish from the folder are no longer served.

    Args:
        models_dir: folder of exported models, by default the shipped ones.
        provider: of every session.
        threads: of every session; by default as its file says.
        clock: of the seconds after which a refused file is tried again.
    """

    def __init__(
        self,
        models_dir: Path | None,
        *,
        provider: str = "auto",
        threads: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._models_dir = models_dir
        self._open: Callable[[Path, str], Session] = lambda path, sha256: Session(
            path, provider=provider, threads=threads, sha256=sha256
        )
        self._loaded: dict[str, _Loaded] = {}
        self._refused: dict[str, _Refused] = {}
        self._refreshing = threading.Lock()
        self._has_changed = False  # in the last refresh
        self._checker = ModelChecker()

    @property
    def sessions(self) -> Mapping[str, Session]:
        return {name: loaded.session for name, loaded in self._loaded.items()}

    @property
    def failures(self) -> Mapping[str, str]:
        """What is wrong with files that could not be loaded, by name; a name that is no text is written in ASCII."""
        return {_shown(name): refused.reason for name, refused in self._refused.items()}

    def session(self, name: str) -> Session:
        """The session of a model; RequestError if there is none (404), or its file cannot be loaded (503)."""
        loaded = self._loaded.get(name)
        if loaded is not None:
            return loaded.session
        if name in self._refused:
            raise RequestError(503, f"the model {name} cannot be loaded; see the server log")
        known = ", ".join(sorted(self._loaded)) or "none"
        raise RequestError(404, f"there is no model {name[:60]!r}; expected one of {known}")

    def refresh(self) -> None:
        """Load what is new or changed in the folder; ModelError if it is gone, and what was loaded stays."""
        with self._refreshing:
            served = list(self._loaded.values())
            found = list_models(self._models_dir, only_files=False)
            for name in self._loaded.keys() - found.keys():
                _LOG.info("model removed", extra={"model": name})
            self._loaded = {name: entry for name, entry in self._loaded.items() if name in found}
            self._refused = {name: entry for name, entry in self._refused.items() if name in found}
            changed: dict[Path, tuple[str, _Signatures]] = {}
            for name, path in found.items():
                signatures = _signature(path), _signature(path.parent / manifest.FILE_NAME)
                if not self._is_to_load(name, path, signatures):
                    continue
                if is_one_line(name) and name not in (".", ".."):
                    changed[path] = name, signatures
                else:
                    self._refuse(
                        name, signatures, f"{str(path)!a} has a name that no client can use; rename the file"
                    )
            for checked in self._checker.check(list(changed)):
                self._load(*changed[checked.path], checked)
                give_back_memory()
            if self._has_changed:  # a request may have kept a former session until now
                give_back_memory()
            self._has_changed = list(self._loaded.values()) != served

    def close(self) -> None:
        """End a `refresh` that is under way; later ones load nothing."""
        self._checker.close()

    def _is_to_load(self, name: str, path: Path, signatures: _Signatures) -> bool:
        if signatures[0] is None and not path.is_symlink():
            return False  # it has just vanished
        refused = self._refused.get(name)
        if refused is not None:
            return refused.signatures != signatures or self._clock() >= refused.retry_at
        current = self._loaded.get(name)
        return current is None or current.signature != signatures[0]

    def _load(self, name: str, signatures: _Signatures, checked: Checked) -> None:
        if checked.sha256 is None:
            self._refuse(name, signatures, checked.reason)
            return
        try:
            session = self._open(checked.path, checked.sha256)
            session.run_once()
        except VisionZooError as error:
            self._refuse(name, signatures, str(error))
        except Exception as error:  # noqa: BLE001  (one file never keeps the others from being loaded)
            self._refuse(name, signatures, f"{checked.path} cannot be loaded ({type(error).__name__})")
        else:
            self._loaded = {**self._loaded, name: _Loaded(session, signatures[0])}
            self._refused = {key: entry for key, entry in self._refused.items() if key != name}
            _LOG.info("model loaded", extra={"model": name, "provider": session.provider})

    def _refuse(self, name: str, signatures: _Signatures, reason: str) -> None:
        former = self._refused.get(name)
        wait = _RETRY_SECONDS
        if former is not None and former.signatures == signatures:
            wait = min(2 * former.wait, _LONGEST_RETRY_SECONDS)
        refused = _Refused(signatures, reason, wait, self._clock() + wait)
        self._refused = {**self._refused, name: refused}
        if former is None or former.reason != reason:
            _LOG.error("model refused", extra={"model": _shown(name), "reason": reason})


def give_back_memory() -> None:
    """Let glibc give back freed memory, of former sessions for example: it keeps what lies between pieces in use."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
        if trim is not None:
            trim(0)


def _shown(name: str) -> str:
    """A file's name as text that can be written anywhere."""
    return name if is_one_line(name) else name.encode("unicode_escape").decode()


def _signature(path: Path) -> _Signature:
    """What changes when a file is replaced, or may be read; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
