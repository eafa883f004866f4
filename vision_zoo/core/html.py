"""Self-contained HTML pages from Jinja2 templates: no scripts, no external fonts, plots as inline SVG, values escaped.

A page extends `base.html` and takes tables from `table.html`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_zoo.core.tables import text_of

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_TEMPLATES = Path(__file__).parent / "templates"
LOOK = _TEMPLATES / "look.css"
"""Colours of all pages, in light and dark."""


@dataclass(frozen=True)
class _Column:
    name: str
    attributes: "Markup"


def render(template: Path, **values: Any) -> str:
    """The page that `template` makes of `values`; SVG is given as `markupsafe.Markup`."""
    return _environment(template.parent).get_template(template.name).render(**values)


@cache
def _environment(folder: Path) -> "Environment":
    """What compiles the templates of `folder`, once each."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([folder, _TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["text"] = text_of
    environment.filters["percent"] = "{:.1%}".format
    environment.globals["columns_of"] = _columns
    return environment


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[_Column]:
    from markupsafe import Markup

    names = dict.fromkeys(column for row in rows for column in row)
    number, text = Markup(' class="number"'), Markup("")
    return [
        _Column(name, number if all(_is_number(row.get(name)) for row in rows) else text) for name in names
    ]


def _is_number(value: object) -> bool:
    return (
        value is None
        or (isinstance(value, int | float) and not isinstance(value, bool))
        or (isinstance(value, str) and value.lstrip("+-")[:1].isdigit())
    )
