"""Every kind of file that `export` writes; an older runtime runs them in `soak/test_older_runtime.py`."""

from pathlib import Path

import onnx
import pytest

from tests.conftest import ROOT
from vision_zoo.exporting.export import export_onnx


@pytest.fixture(scope="module")
def kinds(exported_model: Path, finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The shipped files and one of every kind that `export` writes."""
    folder = tmp_path_factory.mktemp("kinds")
    reduced = [export_onnx(finished_run, folder, precision=precision).path for precision in ("fp16", "int8")]
    stored = export_onnx(finished_run, folder, weights="int8").path
    return [*sorted((ROOT / "exported").glob("*.onnx")), exported_model, *reduced, stored]


def test_every_file_is_of_the_ir_version_that_its_opset_needs(kinds: list[Path]) -> None:
    for path in kinds:
        model = onnx.load(path)
        assert model.ir_version == onnx.helper.find_min_ir_version_for(model.opset_import) == 8, path.name
        onnx.checker.check_model(model, full_check=True)
