"""The goals of the benchmarks beside what was measured."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.goals import Goal, goals, print_goals, step_over_floor
from tests.conftest import ROOT
from vision_zoo.core import json_file

_KEPT = [
    path
    for path in sorted((ROOT / "results").glob("*/*.json"))
    if path.stem
    in ("server_cpu", "server_load", "runtimes", "training", "training_beside_others", "training_precision")
]


def test_a_goal_is_the_most_or_the_least() -> None:
    assert str(Goal("x over y", 1.5, 1.5)) == "x over y: 1.50; goal: at most 1.5, met"
    assert str(Goal("x over y", 1.51, 1.5)) == "x over y: 1.51; goal: at most 1.5, missed"
    assert str(Goal("x over y", 1.51, 1.5, least=True)) == "x over y: 1.51; goal: at least 1.5, met"
    assert not Goal("x over y", 1.49, 1.5, least=True).is_met


@pytest.mark.parametrize("path", _KEPT, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_kept_results_stand_beside_their_goals(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = list(goals(json_file.read(path, dict)))
    assert found
    assert all(goal.reached >= 0 for goal in found)
    print_goals(path)
    assert capsys.readouterr().out.splitlines() == [str(goal) for goal in found]


def test_bfloat16_is_compared_round_by_round() -> None:
    measured = {"step_ms": {"fp32": [3.0, 8.0, 4.0], "bf16": [2.0, 4.0, 2.5]}}
    (found,) = goals(
        {"kind": "training_precision", "recipes": {"simple_cnn-mnist": measured, "other": measured}}
    )
    assert (found.reached, found.limit, found.is_met) == (1.6, 1.6, True)


def test_other_results_have_none() -> None:
    assert not list(goals({"kind": "recipe"}))


def test_the_slowest_file_counts() -> None:
    rows = [
        {"model": "a", "macs": 6e6, "over_openvino": 1.2, "over_floor": 1.5},
        {"model": "b", "macs": 9e6, "over_openvino": 0.9, "over_floor": 2.5},
        {"model": "c", "macs": 1e6, "over_openvino": 1.1, "over_floor": 4.0},
    ]
    found = [
        (goal.what.split("(")[1], goal.reached, goal.is_met)
        for goal in goals({"kind": "runtimes", "rows": rows})
    ]
    assert found == [("a)", 1.2, False), ("b)", 2.5, False)]


@pytest.mark.parametrize(
    ("recipe", "images_per_second", "limit"),
    [("lenet-fashion_mnist", 1e6, 3.0), ("simple_cnn-mnist", 1000, 1.5), ("simple_cnn-mnist", 1e6, None)],
)
def test_short_steps_have_no_goal_but_those_of_three_recipes(
    recipe: str, images_per_second: float, limit: float | None
) -> None:
    measured: dict[str, Any] = {"arms": {"engine": {"images_per_second": images_per_second}}}
    assert step_over_floor(recipe, measured) == limit
