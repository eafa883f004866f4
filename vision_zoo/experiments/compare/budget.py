"""Progress bar over the time budget of a comparison."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vision_zoo.core.progress import SECONDS, Progress, SilentProgress


class BudgetProgress:
    """Moves `progress` to the time spent whenever something inside reports, and says what is being done.

    The estimate that a bar makes of it is an upper bound: a comparison ends before its budget does where every run
    comes to an end by itself.
    """

    def __init__(self, progress: Progress, spent: Callable[[], float], seconds: float) -> None:
        self._progress = progress
        self._spent = spent
        self._seconds = seconds
        self._shown = 0
        progress.start("comparing", round(seconds), unit=SECONDS)

    def describe(self, description: str) -> None:
        """What is being done now."""
        self._progress.describe(description)
        self.tick()

    def tick(self) -> None:
        """Time has passed."""
        now = min(int(self._spent()), round(self._seconds))
        self._progress.advance(now - self._shown)
        self._shown = now

    def line(self, text: str) -> None:
        """A line that stays, with the time."""
        self._progress.line(f"{text} ({self._spent():.0f} of {self._seconds:.0f} s)")

    def part(self, name: str) -> Progress:
        """For something long inside that has steps and lines of its own: `name` stands before the steps."""
        return _Part(self, name)


@dataclass(frozen=True)
class _Part(SilentProgress):
    whole: BudgetProgress
    name: str

    def start(self, description: str, *_rest: Any, **_named: Any) -> None:
        self.describe(description)

    def describe(self, description: str) -> None:
        self.whole.describe(f"{self.name}, {description}")

    def advance(self, steps: int = 1) -> None:  # noqa: ARG002
        self.whole.tick()
