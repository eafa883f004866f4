"""Optimized files are measured once an environment, and the table says what was gained and lost."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import optimize
from scripts.figures.optimize import table
from tests.conftest import ROOT
from vision_zoo.artifact.session_options import TunedOptions
from vision_zoo.core import json_file
from vision_zoo.core.model_results import OptimizeResult
from vision_zoo.core.results import load_results, write_result
from vision_zoo.exporting.optimize import Candidate, OptimizedFile
from vision_zoo.exporting.session_search import PLAIN, SearchSettings

PATH = ROOT / "exported" / "alexnet_finetuned-mnist-int8.onnx"


def test_files_are_measured_once_an_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SearchSettings(batch_sizes=(1, 8))
    document = optimize.started(None, settings)
    assert not optimize.is_kept(document, PATH)
    candidates = [
        Candidate("fp32", 0.99, 1.0, PLAIN, {1: 1.0, 8: 6.0}, 1.0, final=True),
        Candidate("int8, 7-bit weights", reason="the graph loses too much"),
        Candidate(
            "int8, 8-bit weights", 0.985, 0.9876, PLAIN, {1: 0.5, 8: 3.0}, 2.0, final=True, chosen=True
        ),
    ]  # fmt: skip
    options = TunedOptions.measured_here(PLAIN, (1, 8))
    found = OptimizedFile(tmp_path / "m-int8.onnx", False, 1000, options, tuple(candidates))
    monkeypatch.setattr(optimize, "optimize_file", lambda *_, **__: found)
    document = replace(document, models=[optimize.optimized(PATH, settings, None)])
    target = tmp_path / "here" / "optimize.json"
    write_result(target, document)
    (read,) = load_results(tmp_path, OptimizeResult)
    assert read == document
    assert optimize.is_kept(optimize.started(read, settings), PATH)
    for other in (SearchSettings(batch_sizes=(1,)), replace(settings, seconds=9.0)):
        assert not optimize.started(read, other).models
    text = table({"here/optimize.json": json_file.read(target, dict)})
    assert (
        "| `alexnet_finetuned-mnist-int8` | int8, 8-bit weights; 1 thread, graph optimisation all |" in text
    )
    assert "| 1 → 0.5 | 6 → 3 | 2.00x | 99.00% → 98.50% | 98.76% of 1,000 |" in text
    assert "| int8, 7-bit weights: the graph loses too much |" in text
    assert "8-bit integers are chosen for 1 of the 1 in single precision" in text
    assert "the largest loss of accuracy is 0.50 points" in text
