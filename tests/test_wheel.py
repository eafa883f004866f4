"""The built wheel, installed where there is no torch."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow
_UV = Path(sys.executable).parent / "uv"


def _run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of a new environment that holds the wheel and what it depends on, at the lock's versions."""
    folder = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (wheel,) = folder.glob("*.whl")
    _run(_UV, "venv", "--quiet", "--python", sys.executable, folder / "environment", cwd=folder)
    python = folder / "environment" / "bin" / "python"
    constraints = ("--constraint", ROOT / "requirements.lock")
    _run(_UV, "pip", "install", "--quiet", "--python", python, *constraints, wheel, cwd=folder)
    return python.parent


def test_it_predicts_with_the_models_it_carries_and_without_torch(
    installed: Path, digit_png: Path, tmp_path: Path
) -> None:
    packages = json.loads(
        _run(_UV, "pip", "list", "--python", installed / "python", "--format", "json", cwd=tmp_path)
    )
    assert not {"torch", "torchvision", "onnx"} & {package["name"] for package in packages}
    listed = json.loads(_run(installed / "vision-zoo", "list", "models", "--json", cwd=tmp_path))
    assert {entry["name"] for entry in listed} == {path.stem for path in (ROOT / "exported").glob("*.onnx")}
    assert not [entry for entry in listed if "error" in entry]
    digits = [entry["name"] for entry in listed if entry["dataset"] == "mnist"]
    for name in digits:
        output = _run(installed / "vision-zoo", "predict", name, digit_png, "--json", cwd=tmp_path)
        assert json.loads(output)[0]["label"] == "7", name


def test_what_needs_torch_says_so(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [installed / "vision-zoo", "train", "simple_cnn-mnist_5k"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "of the extra `train`: " in done.stderr
    assert "Traceback" not in done.stderr
    _, _, command = done.stderr.rstrip().partition("of the extra `train`: ")
    program, *words = shlex.split(command)
    assert program == "uv", "uv made the environment, which has no pip"
    planned = subprocess.run(
        [_UV, *words, "--dry-run"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert planned.returncode == 0, planned.stderr
    assert "+ torch==" in planned.stderr
