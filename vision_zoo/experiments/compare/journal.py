"""What has been done of a comparison, kept on disk."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vision_zoo.core.json_file import read_if_present
from vision_zoo.core.results import write_result


@dataclass(slots=True)
class _JournalFile:
    settings: dict[str, Any]
    seconds: float = 0.0
    done: dict[str, Any] = field(default_factory=dict)


class Journal:
    """What has been done of a comparison, so that a second call goes on where the first one was stopped.

    It counts the seconds of all calls, which `clock` gives; `spent` includes the present one.
    """

    def __init__(
        self, path: Path, settings: Mapping[str, Any], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._path = path
        self._settings = dict(settings)
        self._clock = clock
        self._started = clock()
        self._content = read_if_present(path, _JournalFile) or _JournalFile(self._settings)
        self.before = self._content.seconds
        """Seconds of earlier calls."""

    @property
    def differing(self) -> list[str]:
        """Names of the settings that the folder's comparison was begun with other values of."""
        then, now = self._content.settings, self._settings
        names = sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
        return [name.removesuffix("_seconds").replace("_", " ") for name in names]

    @property
    def spent(self) -> float:
        return self.before + self._clock() - self._started

    def done(self, key: str) -> Any:
        """What was kept under `key`; None if nothing was."""
        return self._content.done.get(key)

    def keep(self, key: str, value: Any) -> None:
        """`key` is done and gave `value`, JSON that is not None."""
        self._content.done[key] = value
        self._content.seconds = self.spent
        write_result(self._path, self._content)
