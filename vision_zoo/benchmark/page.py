"""A benchmark as one self-contained page: pictures, every figure, and what they were measured on."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from vision_zoo.benchmark.engines import REFERENCE
from vision_zoo.benchmark.pictures import accuracy_against_latency, distributions, latency_and_throughput, svg
from vision_zoo.benchmark.tables import flat, footers, tables
from vision_zoo.environment import hardware
from vision_zoo.tables import text_of

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


def page(rows: Sequence[Row], environment: Mapping[str, Any]) -> str:
    """HTML of a benchmark that was taken with `raw`. Needs nothing from elsewhere, scripts neither."""
    parts = [f"<h1>vision-zoo bench</h1><p>{_escaped(_hardware(environment))}</p>"]
    for heading, picture in _pictures(rows).items():
        parts.append(f"<h2>{_escaped(heading)}</h2><figure>{picture}</figure>")
    parts.append("<h2>Figures</h2>")
    parts += [_table(table, caption=title) for title, table in tables(rows).items()]
    parts += [f"<p>{_escaped(line)}</p>" for line in footers(rows)]
    parts.append("<h2>Everything that was measured</h2>")
    parts.append(f"<details><summary>{len(rows)} rows</summary>{_table(flat(rows))}</details>")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>vision-zoo bench</title><style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )


def _pictures(rows: Sequence[Row]) -> dict[str, str]:
    single = [row for row in rows if row["scenario"] == "single-stream"]
    smallest = min((row["batch"] for row in single), default=None)
    first = [row for row in single if row["batch"] == smallest]
    own = [row for row in first if row["engine"] == REFERENCE]
    pictures = {}
    if own:
        figure = accuracy_against_latency(own, title=f"single-stream, batch {smallest}")
        pictures["Accuracy against latency"] = svg(figure, seed="accuracy")
    for name in dict.fromkeys((row["scenario"], row["batch"]) for row in rows):
        scenario, batch = name
        group = [row for row in rows if (row["scenario"], row["batch"]) == name]
        title = f"{scenario}, batch {batch}"
        pictures[f"Latency: {title}"] = svg(
            latency_and_throughput(group, title=title), seed=f"latency {title}"
        )
        tail = distributions(group, title=title)
        pictures[f"Distribution: {title}"] = svg(tail, seed=f"distribution {title}")
    return pictures


def _table(rows: Sequence[Row], *, caption: str = "") -> str:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    numeric = {column: all(_is_number(row.get(column)) for row in rows) for column in columns}
    head = "".join(f"<th{_class(numeric[column])}>{_escaped(column)}</th>" for column in columns)
    body = "".join(
        "<tr>"
        + "".join(f"<td{_class(numeric[column])}>{_cell(row.get(column))}</td>" for column in columns)
        + "</tr>"
        for row in rows
    )
    title = f"<caption>{_escaped(caption)}</caption>" if caption else ""
    return (
        f'<div class="wide"><table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _class(numeric: bool) -> str:
    return ' class="number"' if numeric else ""


def _is_number(value: object) -> bool:
    return (
        value is None
        or (isinstance(value, int | float) and not isinstance(value, bool))
        or (isinstance(value, str) and value[:1].isdigit())
    )


def _cell(value: object) -> str:
    return _escaped(text_of(value))


def _hardware(environment: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in environment["versions"].items())
    return f"{hardware(environment)}, Python {environment['python']}; {versions}"


def _escaped(text: str) -> str:
    return html.escape(str(text))
