"""Write the pages of the documentation site to build/pages.

    python -m scripts.write_pages && zensical build --strict

They are docs/ with README.md as the first page, CONTRIBUTING.md and CHANGELOG.md beside it, and the references of the
commands and of Python, which come from the code.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from vision_zoo.cli import app

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "build" / "pages"
_BESIDE = {"README.md": "index.md", "CONTRIBUTING.md": "CONTRIBUTING.md", "CHANGELOG.md": "CHANGELOG.md"}
_ELSEWHERE = {"README.md": "index.md", "cards": "cards/index.md", "LICENSE": "index.md#license"}
_LINK = re.compile(r"(?<=\]\()[^)#\s:]+(?=[)#])")
_PYTHON = """# Python

::: vision_zoo.api
    options:
      show_root_heading: false
      show_root_toc_entry: false

## Errors

::: vision_zoo.core.errors
    options:
      show_root_heading: false
      show_root_toc_entry: false
"""


def write() -> None:
    """Write the pages anew."""
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.copytree(ROOT / "docs", PAGES)
    for source, target in _BESIDE.items():
        shutil.copy(ROOT / source, PAGES / target)
    cards = sorted((PAGES / "cards").glob("*.md"))
    listed = "".join(f"- [{card.stem}]({card.name})\n" for card in cards)
    (PAGES / "cards" / "index.md").write_text(f"# Model cards\n\n{listed}")
    (PAGES / "COMMANDS.md").write_text("\n".join(commands()))
    (PAGES / "PYTHON.md").write_text(_PYTHON)
    for page in PAGES.glob("*.md"):
        page.write_text(_LINK.sub(lambda link: _moved(link[0]), page.read_text()))


def _moved(target: str) -> str:
    """Where the site has the file that a document of the repository links to."""
    name = target.removeprefix("../").removeprefix("docs/")
    return _ELSEWHERE.get(name, name)


def commands() -> Iterator[str]:
    """Lines of the reference of the command line."""
    group: Any = typer.main.get_command(app)
    root = typer.Context(group, info_name="vision-zoo")
    yield from ("# Commands", "", group.help, "")
    for name in group.list_commands(root):
        command = group.get_command(root, name)
        context = typer.Context(command, info_name=name, parent=root)
        usage = " ".join(("vision-zoo", name, *command.collect_usage_pieces(context)))
        yield from (f"## {name}", "", *command.help.splitlines(), "", f"```text\n{usage}\n```", "")
        for title, records in _panels(command, context).items():
            yield from (f"| {title} | |", "| --- | --- |")
            yield from (f"| `{_cell(option)}` | {_cell(described)} |" for option, described in records)
            yield ""


def _panels(command: Any, context: Any) -> dict[str, list[tuple[str, str]]]:
    """Arguments and options with what is said of them, by the section of the help in which they stand."""
    panels: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            kind = "Arguments" if parameter.param_type_name == "argument" else "Options"
            panels.setdefault(getattr(parameter, "rich_help_panel", None) or kind, []).append(record)
    return panels


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    write()
