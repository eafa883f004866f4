"""Recipes that are timed in turn."""

import os
from pathlib import Path

import pytest

from benchmarks.training.command import undisturbed
from benchmarks.training.in_turn import CLAIMED, busy, in_turn, time_recipe
from benchmarks.training.workload import Workload
from vision_zoo.core.environment import describe
from vision_zoo.core.progress import SilentProgress
from vision_zoo.core.results import TimingResult, load_results, result_path, write_result


def test_every_round_takes_each_recipe_once_and_begins_with_another() -> None:
    taken = []

    def timed(name: str) -> tuple[float, float]:
        taken.append(name)
        return len(taken), 0.5

    seconds = in_turn(("a", "b", "c"), 3, timed)
    assert "".join(taken) == "abc" + "cab" + "bca" + "abc"
    # the first three, which start libraries up, do not count
    assert seconds["training"] == {"a": [5, 9, 10], "b": [6, 7, 11], "c": [4, 8, 12]}
    assert seconds["inference"] == {"a": [0.5] * 3, "b": [0.5] * 3, "c": [0.5] * 3}


def test_training_and_inference_take_time_and_what_is_measured_is_read_again(tmp_path: Path) -> None:
    found = time_recipe(Workload("simple_cnn-mnist_5k", 64, 1, threads=1), None)
    assert min(found) > 0
    document = TimingResult(environment=describe(), images=64, seconds={"training": {"x": found}})
    write_result(result_path(tmp_path, document.environment, "timing"), document)
    (read,) = load_results(tmp_path, TimingResult)
    assert read.seconds["training"]["x"] == list(found)


def test_nothing_is_timed_beside_other_work() -> None:
    assert busy(0.5, 2) is None
    assert busy(3.04, 2) == (
        "3.0 processes run on 2 cores; expected at most 0.5; stop them and wait a minute"
    )


@pytest.mark.parametrize(("disturbed", "calls", "alone"), [(0, 1, True), (2, 3, True), (9, 5, False)])
def test_what_others_disturb_is_measured_again(disturbed: int, calls: int, alone: bool) -> None:
    """A second of each core is taken, or nothing, while one passes."""
    cores = os.cpu_count() or 1
    seconds = iter(range(20))
    taken = [0.0]
    for call in range(10):
        taken += [taken[-1]] * (call > 0) + [taken[-1] + (cores if call < disturbed else 0)]
    others, measured = iter(taken), iter(range(10))
    found = undisturbed(
        lambda: next(measured),
        SilentProgress(),
        others=lambda: next(others),
        clock=lambda: float(next(seconds)),
    )
    assert found == (calls - 1, alone)


def test_the_processor_time_of_others_is_told() -> None:
    assert undisturbed(lambda: 7, SilentProgress())[0] == 7


def test_what_claims_time_is_timed() -> None:
    assert {"simple_cnn-mnist", "patch_lstm-cifar10", "mobilenet-mnist"} <= set(CLAIMED)
