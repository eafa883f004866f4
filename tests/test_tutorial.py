"""The tutorial's commands, run as they are printed, on pictures that are learnt sooner than photographs."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT, Completed, free_port
from tests.experiments.compare.clock import compare_by_looks
from tests.images.pictures import striped_picture

_LESS = "--budget 15s --seeds 1 --architectures simple_cnn --image-size 24"


@pytest.fixture(scope="module")
def commands() -> list[str]:
    """Its lines, in their order."""
    text = (ROOT / "docs" / "TUTORIAL.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where `pictures/` is."""
    for label, name in enumerate(("chair", "lamp", "table")):
        for number in range(1, 41):
            striped_picture(tmp_path / "pictures" / name / f"{number}.jpg", label, 100 * label + number)
    return tmp_path


def _environment(model: str = "") -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "MODEL": model}


def _tick() -> None:
    compare_by_looks(pytest.MonkeyPatch(), 0.12)


def test_the_notebook_holds_code_without_outputs() -> None:
    notebook = json.loads((ROOT / "docs" / "tutorial.ipynb").read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert (notebook["nbformat"], len({cell["id"] for cell in notebook["cells"]})) == (
        4,
        len(notebook["cells"]),
    )
    for cell in code:  # soak/test_notebook.py runs it
        compile("".join(cell["source"]), cell["id"], "exec")
        assert (cell["outputs"], cell["execution_count"]) == ([], None)


@pytest.mark.slow
def test_its_commands_run(
    commands: list[str], folder: Path, web_runtime: Path, cli: Callable[..., Completed]
) -> None:
    def run(line: str, model: str = "") -> str:
        program, *arguments = shlex.split(line.replace("$MODEL", model))
        assert program == "vision-zoo"
        done = cli(*arguments, prepare=_tick)
        assert done.code == 0, f"{line}: {done.stderr}"
        return done.stdout

    audit, comparison, chosen, *rest = commands
    assert "audit.html" in run(audit)
    assert (folder / "audit" / "audit.html").is_file()
    assert "--budget 8m" in comparison
    said = run(comparison.replace("--budget 8m", _LESS))
    document = json.loads((folder / "comparison" / "comparison.json").read_text())
    model = document["recommendation"]["model"]
    assert f"recommended: {model}" in said
    name = re.fullmatch(r"MODEL=(\S+) .*", chosen)
    assert name is not None
    assert name[1] in {one["model"] for one in document["models"]}  # the tutorial's example is one it can be

    serve = rest.index("vision-zoo serve --models-dir comparison/models")
    shown = [run(line, model) for line in rest[:serve]]
    assert "chair" in shown[1]
    assert (folder / "comparison" / "runs" / model / "report.html").is_file()
    port = free_port()
    with subprocess.Popen(
        ["sh", "-c", f"exec {rest[serve]} --port {port}"],
        cwd=folder,
        env=_environment(),
        stderr=subprocess.PIPE,
    ) as server:
        try:
            _until_ready(port)
            asked, *after = (line.replace(":8000", f":{port}") for line in rest[serve + 1 :])
            assert asked.startswith("curl ")
            answer = json.loads(
                subprocess.check_output(["sh", "-c", asked], cwd=folder, env=_environment(model))
            )
            assert answer["label"] in {"chair", "lamp", "table"}
        finally:
            server.terminate()
    describe, hand_out = after
    card = run(describe, model)
    assert "chair, lamp, table" in card
    assert "license:" not in card  # the pictures are not ours
    run(f"{hand_out} --runtime {web_runtime}", model)
    assert model in (folder / "model.html").read_text()


def _until_ready(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/v2/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.1)
