"""Progress of long computations on stderr: bars on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """What a long computation reports to."""

    def start(self, description: str, total: int, unit: str = "") -> None:
        """Begin a part of `total` steps, counted in `unit`; ends the part before it."""

    def describe(self, description: str) -> None:
        """What the current part is at."""

    def advance(self, steps: int = 1) -> None:
        """`steps` more of the current part are done."""

    def line(self, text: str) -> None:
        """A line that stays."""


class SilentProgress:
    def start(self, description: str, total: int, unit: str = "") -> None:
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


@contextmanager
def progress_on_stderr() -> Iterator[Progress]:
    """A bar with rich where stderr is a terminal, plain lines otherwise."""
    if not sys.stderr.isatty():
        yield PlainProgress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichBar

    class BarProgress:
        def __init__(self, bar: RichBar) -> None:
            self.bar = bar
            self.task = bar.add_task("", total=None, visible=False, unit="")

        def start(self, description: str, total: int, unit: str = "") -> None:
            self.bar.reset(self.task, description=description, total=total, visible=True, unit=unit)

        def describe(self, description: str) -> None:
            self.bar.update(self.task, description=description)

        def advance(self, steps: int = 1) -> None:
            self.bar.advance(self.task, steps)

        def line(self, text: str) -> None:
            self.bar.console.print(text, highlight=False, markup=False, soft_wrap=True)

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeRemainingColumn(),
    )
    with RichBar(*columns, console=Console(stderr=True, emoji=False), transient=True) as bar:
        yield BarProgress(bar)
