"""Training steps with and without a speed-up."""

import pytest

from benchmarks.training.speedups import SPEEDUPS, measure
from benchmarks.training.workload import Workload, prepare
from vision_zoo.architectures import onednn
from vision_zoo.recipes import RECIPES


@pytest.mark.parametrize("name", ["vit-mnist", "airbench-mnist"])
def test_steps_are_timed_with_and_without(name: str) -> None:
    prepared = prepare(Workload("simple_cnn-mnist_5k", 256, 1, 1), None)
    before = onednn.is_faster
    found = measure(prepared, SPEEDUPS[name], rounds=2, seconds=0.05)
    assert {arm: len(times) for arm, times in found.items()} == {"with": 2, "without": 2}
    assert min(found["with"] + found["without"]) > 0
    assert onednn.is_faster is before


def test_speedups_are_of_recipes() -> None:
    assert set(SPEEDUPS) <= set(RECIPES)
