"""Progress: a bar on a terminal, lines elsewhere."""

import contextlib
import io
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from vision_zoo.core.progress import SECONDS, BarProgress, progress_on_stderr

_SHOW_CURSOR, _ERASE_LINE = "\x1b[?25h", "\x1b[2K"


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Callable[[], None]], str]:
    """What a function writes to a terminal as its stderr."""
    if sys.platform == "win32":
        pytest.skip("Windows has no pseudo-terminals of this kind")

    def run(function: Callable[[], None]) -> str:
        master, slave = os.openpty()
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "90")
        with os.fdopen(slave, "w") as terminal:
            monkeypatch.setattr(sys, "stderr", terminal)
            function()
        written = b""
        with contextlib.suppress(OSError):  # the end, as Linux reports it
            while read := os.read(master, 2**16):
                written += read
        os.close(master)
        return written.decode()

    return run


def test_a_terminal_shows_throughput_and_time_left_and_stays_clean(
    on_terminal: Callable[[Callable[[], None]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    piped = io.StringIO()
    monkeypatch.setattr(sys, "stdout", piped)

    def train() -> None:
        with progress_on_stderr() as shown:
            assert isinstance(shown, BarProgress)
            shown._bar.get_time = lambda: now[0]
            shown.start("training", 100, "images", size=32, done=10)
            for _ in range(30):
                shown.advance()
                now[0] += 1
            shown.describe("epoch 2/2 [bold]")
            shown.line("epoch 1/2  [bold] loss 0.1")
            shown._bar.refresh()
            print("a result")

    written = on_terminal(train)
    assert "epoch 1/2  [bold] loss 0.1" in written
    assert re.search(r"epoch 2/2 \[bold\].* 40%.* 32 images/s.*0:01:00", written)
    assert written.endswith(f"{_ERASE_LINE}{_SHOW_CURSOR}")
    assert piped.getvalue() == "a result\n"


def test_ctrl_c_leaves_the_cursor_and_no_bar(on_terminal: Callable[[Callable[[], None]], str]) -> None:
    def interrupted() -> None:
        with progress_on_stderr() as shown:
            shown.start("training", 100)
            shown.advance()
            raise KeyboardInterrupt

    def run() -> None:
        with pytest.raises(KeyboardInterrupt):
            interrupted()

    assert on_terminal(run).endswith(f"{_ERASE_LINE}{_SHOW_CURSOR}")


def test_elsewhere_only_lines_are_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_on_stderr() as shown:
        shown.start("training", 2, "images", size=32)
        shown.describe("epoch 1/2")
        shown.advance(2)
        shown.line("epoch 1/2  loss 0.1")
    assert capsys.readouterr().err == "epoch 1/2  loss 0.1\n"


def test_steps_reach_the_bar_ten_times_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    with BarProgress(Console(file=io.StringIO(), force_terminal=True)) as bar:
        bar.start("comparing", 2000, SECONDS)
        for _ in range(1000):
            bar.advance()
        assert bar._bar.tasks[0].completed == 1
        now[0] = 0.2
        bar.advance()
        assert bar._bar.tasks[0].completed == 1001
        assert bar._bar.tasks[0].fields["reached"] == ""
