"""The notebook of the tutorial, cell by cell, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

_SECONDS = 900
_SHOWS_LAST_VALUES = """
import ast, sys
cells, names = json.load(open("cells.json")), {}
for cell in cells:
    tree = ast.parse(cell)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    if last is not None:
        print(eval(compile(ast.Expression(last.value), "cell", "eval"), names))
"""


def test_the_notebook_runs_from_pictures_to_an_answer(tmp_path: Path) -> None:
    notebook = json.loads((ROOT / "docs" / "tutorial.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    (tmp_path / "cells.json").write_text(json.dumps(cells))
    done = subprocess.run(
        [sys.executable, "-c", f"import json{_SHOWS_LAST_VALUES}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert "recommended: comparison" in done.stdout
    assert ".png: digit 3" in done.stdout
    assert (tmp_path / "comparison" / "runs").is_dir()
    assert len(list((tmp_path / "models").glob("*-int8.onnx"))) == 1
