"""Ratios of latencies are kept with others of the same environment, and measured with a copy that has a temperature."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import uncertainty
from tests.conftest import ROOT
from vision_zoo.core.environment import describe
from vision_zoo.core.model_results import LatencyRatio


def test_ratios_of_one_environment_are_kept_together() -> None:
    here = describe()
    first = LatencyRatio(model="b", ratio=1.01, plain_ms=0.1, rounds=5, calls=100)
    kept = uncertainty.with_ratio(None, first, here)
    both = uncertainty.with_ratio(kept, replace(first, model="a"), here)
    assert [one.model for one in both.models] == ["a", "b"]
    again = uncertainty.with_ratio(both, replace(first, ratio=1.0), here)
    assert [one.ratio for one in again.models] == [1.01, 1.0]
    other = replace(here, versions={**here.versions, "onnxruntime": "0"})
    assert [one.model for one in uncertainty.with_ratio(both, first, other).models] == ["b"]


def test_a_ratio_is_of_the_file_without_and_with_a_temperature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uncertainty, "_FEWEST_CALLS", 3)
    found = uncertainty.latency_ratio(ROOT / "exported" / "small_cnn-mnist.onnx", tmp_path, seconds=0.0)
    assert (found.model, found.rounds, found.calls) == ("small_cnn-mnist", 5, 15)
    assert found.ratio > 0
    plain, scaled = (tmp_path / f"{name}.onnx" for name in ("plain", "scaled"))
    assert scaled.stat().st_size > plain.stat().st_size
