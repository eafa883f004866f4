"""ONNX Runtime 1.17, which refuses files above IR version 9, gives the answers of today's."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

_OLDER = "1.17.3"
_UV = Path(sys.executable).parent / "uv"
_SCRIPT = Path(__file__).parent / "older_runtime.py"


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope="module")
def older_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python in a new environment that has the older runtime, from the package registry."""
    folder = tmp_path_factory.mktemp("older") / "environment"
    _run(_UV, "venv", "--quiet", "--python", ">=3.11,<3.13", folder)  # there are no wheels for later ones
    python = folder / "bin" / "python"
    _run(_UV, "pip", "install", "--quiet", "--python", python, f"onnxruntime=={_OLDER}", "numpy<2")
    return python


def test_an_older_runtime_answers_the_same(older_python: Path, kinds: list[Path], tmp_path: Path) -> None:
    answers = {}
    for python in (older_python, Path(sys.executable)):
        output = tmp_path / "answers.npz"
        _run(python, _SCRIPT, output, *kinds)
        answers[python] = dict(np.load(output))
    older, current = answers.values()
    assert older.pop("version") == _OLDER
    assert current.pop("version") != _OLDER
    assert len(older) == 2 * len(kinds)
    for name, values in older.items():
        assert np.isfinite(values).all(), name
        np.testing.assert_allclose(values, current[name], atol=_tolerance(name), rtol=0, err_msg=name)


def _tolerance(name: str) -> float:
    """Runtimes sum in another order; in fewer bits a sum may then be rounded the other way."""
    steps = {"-fp16.onnx": 1e-3, "-int8.onnx": 1e-2}
    return next((step for suffix, step in steps.items() if suffix in name), 1e-5)
