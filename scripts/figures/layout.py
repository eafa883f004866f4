"""The layout of the package, from the contract of its layers and the docstrings of its subpackages."""

import ast

from scripts.figures.sources import Results
from scripts.structure import PACKAGE, ROOT, layers


def tree(_results: Results) -> str:
    """The subpackages from the top layer, each with the first line of its docstring."""
    names = layers()
    width = max(map(len, names)) + 2
    rooms = [f"  {name + '/':{width}} {_first_line(name)}" for name in names]
    return "\n".join(["```text", f"{PACKAGE}/", *rooms, "```"])


def _first_line(room: str) -> str:
    text = ast.get_docstring(ast.parse((ROOT / PACKAGE / room / "__init__.py").read_text()))
    if not text:
        raise ValueError(
            f"{PACKAGE}/{room}/__init__.py has no docstring; its first line is shown in the documents"
        )
    first = text.splitlines()[0].split(". ")[0].rstrip(".")
    return first[0].lower() + first[1:]
