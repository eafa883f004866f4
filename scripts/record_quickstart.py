"""Run `vision-zoo quickstart` on a terminal and keep what it printed and measured.

Writes `docs/images/quickstart.svg` (the terminal's text) and `results/<environment>/quickstart.json`.
"""

import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from vision_zoo.core import atomic
from vision_zoo.core.environment import describe

ROOT = Path(__file__).resolve().parent.parent
_COLUMNS = 112


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        printed = _on_a_terminal(["vision-zoo", "quickstart"], Path(folder))
        measured = (Path(folder) / "runs" / "quickstart" / "quickstart.json").read_text()
    target = ROOT / "results" / describe().folder_name / "quickstart.json"
    atomic.write_text(target, measured)
    console = Console(record=True, width=_COLUMNS, file=open(os.devnull, "w"), force_terminal=True)  # noqa: PTH123, SIM115
    console.print(Text("$ make quickstart", style="bold"))
    console.print(Text.from_ansi(printed))
    svg = console.export_svg(title="vision-zoo")
    # The default template loads a font from elsewhere; a document should not.
    atomic.write_text(
        ROOT / "docs" / "images" / "quickstart.svg", re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    )


def _on_a_terminal(command: list[str], folder: Path) -> str:
    """What `command` leaves on a terminal's stdout, its progress on stderr aside."""
    programs = Path(sys.executable).parent
    master, slave = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(_COLUMNS), "TERM": "xterm-256color"}
    environment["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        [str(programs / command[0]), *command[1:]], cwd=folder, stdout=slave, env=environment
    )
    os.close(slave)
    parts = []
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # Linux's way of saying that the other end was closed
            break
        if not part:
            break
        parts.append(part)
    if process.wait():
        sys.exit(f"error: {' '.join(command)} failed")
    return b"".join(parts).decode().replace("\r\n", "\n")


if __name__ == "__main__":
    main()
