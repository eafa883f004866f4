"""Model files that are damaged, changed or foreign."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Completed

Cli = Callable[..., Completed]


def test_an_empty_model_file(cli: Cli, tmp_path: Path, digit_png: Path) -> None:
    (tmp_path / "model.onnx").touch()
    assert "model.onnx is empty" in cli("predict", "model.onnx", digit_png).error


@pytest.mark.parametrize("part", [0.3, 0.9])
def test_a_damaged_model_file(
    cli: Cli, tmp_path: Path, digit_png: Path, exported_model: Path, part: float
) -> None:
    content = exported_model.read_bytes()
    (tmp_path / "model.onnx").write_bytes(content[: int(len(content) * part)])
    assert "model.onnx is not an ONNX file" in cli("predict", "model.onnx", digit_png).error


def test_a_model_that_was_changed(cli: Cli, tmp_path: Path, digit_png: Path, exported_model: Path) -> None:
    folder = shutil.copytree(exported_model.parent, tmp_path / "exported")
    content = bytearray(exported_model.read_bytes())
    content[len(content) // 2] ^= 0xFF
    (folder / exported_model.name).write_bytes(content)
    assert "does not match its checksum" in cli("predict", exported_model.stem, digit_png).error


def test_a_model_without_metadata(cli: Cli, tmp_path: Path, digit_png: Path, exported_model: Path) -> None:
    import onnx

    model = onnx.load(exported_model)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    assert "has no vision-zoo metadata" in cli("predict", "foreign.onnx", digit_png).error
