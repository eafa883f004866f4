"""The models of a folder as a server holds them: loaded once, loaded again when their files change."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vision_zoo.errors import ModelError, VisionZooError
from vision_zoo.serving.models import list_models
from vision_zoo.serving.server.errors import RequestError
from vision_zoo.serving.session import Session

VERSION = "1"
"""Every model has this one version: the file that lies in the folder."""

_LOG = logging.getLogger("vision_zoo.server")

_Signature = tuple[int, int, int]


@dataclass(frozen=True)
class _Loaded:
    session: Session
    signature: _Signature


class Repository:
    """Sessions by model name. Reading is lock-free; `refresh` is for one thread at a time.

    A file that cannot be loaded is reported in `failures` and keeps its former version serving, where there
    was one. Models that vanish from the folder are no longer served.

    Args:
        models_dir: folder of exported models; the shipped ones without it.
        provider: of every session.
        threads: of every session.
    """

    def __init__(self, models_dir: Path | None, *, provider: str = "auto", threads: int = 1) -> None:
        self._models_dir = models_dir
        self._open: Callable[[Path], Session] = lambda path: Session(path, provider=provider, threads=threads)
        self._loaded: dict[str, _Loaded] = {}
        self._refused: dict[str, tuple[_Signature, str]] = {}
        self._refreshing = threading.Lock()

    @property
    def sessions(self) -> Mapping[str, Session]:
        """Ready sessions by name."""
        return {name: loaded.session for name, loaded in self._loaded.items()}

    @property
    def failures(self) -> Mapping[str, str]:
        """What is wrong with files that could not be loaded, by name."""
        return {name: reason for name, (_, reason) in self._refused.items()}

    def session(self, name: str) -> Session:
        """The session of a model.

        Raises:
            RequestError: there is no such model (404), or its file cannot be loaded (503).
        """
        loaded = self._loaded.get(name)
        if loaded is not None:
            return loaded.session
        if name in self._refused:
            raise RequestError(503, f"the model {name} cannot be loaded; the server's log says why")
        known = ", ".join(sorted(self._loaded)) or "none"
        raise RequestError(404, f"there is no model {name[:60]!r}; expected one of {known}")

    def refresh(self) -> None:
        """Look at the folder, and load what is new or has changed.

        Raises:
            ModelError: the folder is gone; what was loaded stays.
        """
        with self._refreshing:
            found = list_models(self._models_dir)
            loaded = {name: entry for name, entry in self._loaded.items() if name in found}
            for name in self._loaded.keys() - found.keys():
                _LOG.info("model removed", extra={"model": name})
            refused = {name: entry for name, entry in self._refused.items() if name in found}
            for name, path in found.items():
                signature = _signature(path)
                current = loaded.get(name)
                if signature is None or (current is not None and current.signature == signature):
                    refused.pop(name, None)
                    continue
                if name in refused and refused[name][0] == signature:
                    continue
                try:
                    loaded[name] = _Loaded(self._warm(path), signature)
                    refused.pop(name, None)
                    _LOG.info(
                        "model loaded", extra={"model": name, "provider": loaded[name].session.provider}
                    )
                except VisionZooError as error:
                    refused[name] = (signature, str(error))
                    _LOG.error("model refused", extra={"model": name, "reason": str(error)})
            self._loaded, self._refused = loaded, refused

    def _warm(self, path: Path) -> Session:
        """A session that has run once: nobody's request pays for the first run."""
        session = self._open(path)
        prediction = session.predict(np.zeros((1, *session.metadata.input.shape), dtype=np.uint8))
        if not np.isfinite(prediction.probabilities).all():
            raise ModelError(f"{path} gives values that are not finite; export the model again")
        return session


def _signature(path: Path) -> _Signature | None:
    """What changes when a file is replaced; None where it has just vanished."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
