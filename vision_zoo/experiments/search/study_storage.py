"""Storage of shared searches: a journal file or a PostgreSQL database, with errors in one line."""

import time
import warnings
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages.journal import JournalFileBackend

from vision_zoo.core.errors import StorageError, UsageError

HEARTBEAT_SECONDS = 15
"""Between signs of life of a worker, in a database; one that misses three of them is lost."""

_RETRY_SECONDS = 0.5
_ATTEMPTS = 10


def opened(storage: str) -> BaseStorage:
    """`open_storage`, tried again where workers that began together all make its tables."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return open_storage(storage)
        except Exception as error:
            if type(error).__name__ not in ("IntegrityError", "ProgrammingError"):
                raise
            time.sleep(_RETRY_SECONDS)
    return open_storage(storage)


def open_storage(url: str) -> BaseStorage:
    """A journal file (`journal:PATH`) or a PostgreSQL database (`postgresql://USER:PASSWORD@HOST/DATABASE`).

    Raises:
        UsageError: another kind of storage.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "journal" and rest:
        path = Path(rest.removeprefix("//"))
        path.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(str(path)))
    if scheme in ("postgresql", "postgres"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # heartbeats
            return RDBStorage(
                f"postgresql+psycopg:{rest}",
                heartbeat_interval=HEARTBEAT_SECONDS,
                grace_period=3 * HEARTBEAT_SECONDS,
                heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
            )
    raise UsageError(
        f"--storage {shown(url)} cannot be used; expected journal:PATH for workers that see the same file system, or "
        "postgresql://USER:PASSWORD@HOST/DATABASE"
    )


def raise_for_storage(error: Exception, storage: str) -> None:
    """Raise StorageError where `error` is the storage's own."""
    if "sqlalchemy" in type(error).__module__ or isinstance(error, optuna.exceptions.StorageInternalError):
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise StorageError(f"{shown(storage)} cannot be used: {reason}") from error


def shown(url: str) -> str:
    """A storage's address without user, password and parameters."""
    scheme, _, rest = url.partition(":")
    return f"{scheme}:{'//' * rest.startswith('//')}{rest.rpartition('@')[2].partition('?')[0].lstrip('/')}"
