"""Pages of one file that need nothing from elsewhere: no scripts, no fonts, pictures as SVG inside."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from vision_zoo.core.tables import text_of

Row = Mapping[str, Any]

_STYLE = """
:root { color-scheme: light dark; --edge: #8884; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
h1 { margin-bottom: .2rem } h2 { margin-top: 2.2rem }
figure { margin: 1rem 0; background: #fff; border: 1px solid var(--edge); border-radius: 8px;
  padding: .6rem; overflow-x: auto }
figure svg { max-width: 100%; height: auto; display: block; margin: auto }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .87rem }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--edge); text-align: left; white-space: nowrap }
th { position: sticky; top: 0 } td.number, th.number { text-align: right }
caption { text-align: left; font-weight: 600; padding: .8rem 0 .3rem }
"""


def webpage(title: str, parts: Sequence[str]) -> str:
    """A whole page around `parts`, which are HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escaped(title)}</title><style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )


def table(rows: Sequence[Row], *, caption: str = "") -> str:
    """An HTML table that scrolls sideways where it is too wide; numbers are aligned right."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    numeric = {column: all(_is_number(row.get(column)) for row in rows) for column in columns}
    head = "".join(f"<th{_class(numeric[column])}>{escaped(column)}</th>" for column in columns)
    body = "".join(
        "<tr>"
        + "".join(f"<td{_class(numeric[column])}>{_cell(row.get(column))}</td>" for column in columns)
        + "</tr>"
        for row in rows
    )
    title = f"<caption>{escaped(caption)}</caption>" if caption else ""
    return (
        f'<div class="wide"><table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _class(numeric: bool) -> str:
    return ' class="number"' if numeric else ""


def _is_number(value: object) -> bool:
    return (
        value is None
        or (isinstance(value, int | float) and not isinstance(value, bool))
        or (isinstance(value, str) and value.lstrip("+-")[:1].isdigit())
    )


def _cell(value: object) -> str:
    return escaped(text_of(value))


def escaped(text: str) -> str:
    """`text` so that nothing in it is taken for HTML."""
    return html.escape(str(text))
