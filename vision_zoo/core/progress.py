"""Progress of long computations on stderr: bars on a terminal, plain lines elsewhere."""

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console

SECONDS = "s"
"""The unit of a part that is measured in time: it has no throughput."""
_PASS_ON_SECONDS = 0.1
_REFRESHES = 4  # a second


class Progress(Protocol):
    """What a long computation reports to."""

    def start(self, description: str, total: int, unit: str = "", size: float = 1, done: int = 0) -> None:
        """Begin a part of `total` steps, `done` of them before; ends the part before it.

        A step is `size` of `unit`, which throughput is in.
        """

    def describe(self, description: str) -> None:
        """What the current part is at."""

    def advance(self, steps: int = 1) -> None:
        """`steps` more of the current part are done."""

    def line(self, text: str) -> None:
        """A line that stays."""


class SilentProgress:
    def start(self, description: str, total: int, unit: str = "", size: float = 1, done: int = 0) -> None:
        pass

    def describe(self, description: str) -> None:
        pass

    def advance(self, steps: int = 1) -> None:
        pass

    def line(self, text: str) -> None:
        pass


class PlainProgress(SilentProgress):
    """Lines only, for logs and pipes."""

    def line(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class BarProgress:
    """A bar with throughput and the time left on `console`, a terminal; use it in a `with` block.

    The terminal is written to by a thread, a few times a second. `advance` costs a look at the clock: steps are passed on
    to the bar ten times a second.
    """

    def __init__(self, console: "Console") -> None:
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichBar
        from rich.table import Column

        self._bar = RichBar(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            TaskProgressColumn(),
            TextColumn("{task.fields[reached]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            expand=True,
            refresh_per_second=_REFRESHES,
            redirect_stdout=sys.stdout.isatty(),  # a result in a pipe is not for the terminal
        )
        self._task = self._bar.add_task("", total=None, visible=False, reached="")
        self._unit, self._size = "", 1.0
        self._waiting, self._passed_on = 0, -math.inf

    def __enter__(self) -> "BarProgress":
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        try:
            self._bar.stop()
        finally:  # a second Ctrl-C may come meanwhile
            self._bar.console.show_cursor(True)

    def start(self, description: str, total: int, unit: str = "", size: float = 1, done: int = 0) -> None:
        self._unit, self._size = unit, size
        self._waiting, self._passed_on = 0, -math.inf
        self._bar.reset(
            self._task, description=description, total=total, completed=done, visible=True, reached=""
        )

    def describe(self, description: str) -> None:
        self._bar.update(self._task, description=description)

    def advance(self, steps: int = 1) -> None:
        self._waiting += steps
        now = time.perf_counter()
        if now - self._passed_on >= _PASS_ON_SECONDS:
            self._bar.update(self._task, advance=self._waiting, reached=self._throughput())
            self._waiting, self._passed_on = 0, now

    def line(self, text: str) -> None:
        self._bar.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _throughput(self) -> str:
        """In units a second over the last half minute; empty for time, and until it is known."""
        speed = self._bar.tasks[0].speed
        if not self._unit or self._unit == SECONDS or speed is None:
            return ""
        rate = speed * self._size
        return f"{rate:,.0f} {self._unit}/s" if rate >= 10 else f"{rate:.2g} {self._unit}/s"


@contextmanager
def progress_on_stderr() -> Iterator[Progress]:
    """A bar where stderr is a terminal that can move its cursor, plain lines otherwise."""
    if not sys.stderr.isatty():
        yield PlainProgress()
        return
    from rich.console import Console

    console = Console(stderr=True, emoji=False)
    if console.is_dumb_terminal:
        yield PlainProgress()
        return
    with BarProgress(console) as bar:
        yield bar
