"""Tables for a terminal, and as Markdown, CSV or JSON."""

import csv
import io
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vision_zoo.core.choices import TableFormat

Row = Mapping[str, Any]


def counted(number: int, noun: str) -> str:
    """`1 image`, `2,000 images`: for nouns whose plural ends in s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def render(rows: Sequence[Row], table_format: TableFormat, *, title: str = "") -> str:
    """`rows`, which share their keys, as text; `title` heads a table alone."""
    if table_format == "csv":
        return _csv(rows)
    if table_format == "md":
        return markdown(rows)
    return _terminal(rows, title)


def markdown(rows: Sequence[Row]) -> str:
    """A Markdown table; numbers are aligned right."""
    columns = list(rows[0]) if rows else []
    ruler = ["---:" if _is_numeric(rows, column) else "---" for column in columns]
    lines = [columns, ruler, *([text_of(row[column]) for column in columns] for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def csv_lines(rows: Iterable[Iterable[object]]) -> str:
    """`rows` as CSV, each ended by a line feed; a cell with a line break of either kind is quoted."""
    lines = []
    for row in rows:
        line = io.StringIO()
        csv.writer(line, lineterminator="\r\n").writerow(row)  # what it quotes depends on this
        lines.append(line.getvalue().removesuffix("\r\n") + "\n")
    return "".join(lines)


def _csv(rows: Sequence[Row]) -> str:
    columns = list(rows[0]) if rows else []
    return csv_lines([columns, *([row[column] for column in columns] for row in rows)]).rstrip("\n")


def _terminal(rows: Sequence[Row], title: str) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in rows[0] if rows else ():
        # Names are for copying and numbers for reading: neither is ever folded.
        numeric = _is_numeric(rows, column)
        first = column == next(iter(rows[0]))
        table.add_column(
            column, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric or first
        )
    for row in rows:
        table.add_row(*(text_of(value) for value in row.values()))
    # A pipe has no width to fit into: nothing is folded there.
    width = None if sys.stdout.isatty() else 10_000
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=sys.stdout.isatty(),
        highlight=False,
        markup=False,
        emoji=False,  # `folder:two: 1 model` is no picture of a two
    )
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().strip("\n").splitlines())


def _is_numeric(rows: Sequence[Row], column: str) -> bool:
    values = [row[column] for row in rows if row[column] not in (None, "")]
    return bool(values) and all(
        isinstance(value, int | float) or (isinstance(value, str) and value[:1].isdigit()) for value in values
    )


def text_of(value: Any) -> str:
    """A cell as people read it: four significant digits, – for nothing."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)
