"""Searches that can be shared: what they search, how they choose, and what ends them."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from tests.conftest import Completed
from tests.warm import CONTEXT
from vision_zoo.core.errors import Interrupted, UsageError
from vision_zoo.core.progress import SilentProgress
from vision_zoo.experiments.search.search_space import Range, Space, parse_ranges
from vision_zoo.experiments.search.shared_search import search
from vision_zoo.experiments.search.study import Place, StudySettings, open_study
from vision_zoo.recipes import find_recipe
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training import train

QUICK = find_recipe("simple_cnn-mnist_5k").override(architecture="small_cnn", epochs=2)
GRID: Space = {"batch_size": [128, 256, 512], "learning_rate": [0.001, 0.01]}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sampler": "tpe"}, "pass --trials"),
        ({"trials": 0}, "trials 0 is out of range"),
    ],
)
def test_settings_are_checked(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        StudySettings("x", **options)


def test_ranges_are_read_from_the_command_line() -> None:
    assert parse_ranges(["lr=0.0001:0.1:log", "batch_size=32:256"]) == {
        "learning_rate": Range(0.0001, 0.1, log=True),
        "batch_size": Range(32, 256),
    }


@pytest.mark.parametrize(
    "option", ["lr", "lr=1", "lr=2:1", "lr=0:1:log", "lr=0.1:x", "speed=1:2", "lr=1:2:3"]
)
def test_a_range_that_cannot_be_used_is_refused(option: str) -> None:
    with pytest.raises(UsageError, match="--range"):
        parse_ranges([option])


def test_a_grid_has_no_ranges(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="use --sampler tpe"):
        open_study(
            QUICK, {"learning_rate": Range(0.1, 1)}, StudySettings("x"), f"journal:{tmp_path / 'j'}"
        ).__enter__()


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    """A recipe whose every epoch takes little."""
    path = tmp_path / "quick.toml"
    path.write_text('architecture = "small_cnn"\ndataset = "mnist-5k"\nbatch_size = 512\n')
    return path


@pytest.mark.slow
def test_tpe_searches_ranges_prunes_by_epoch_and_stops(
    cli: Callable[..., Completed], recipe_file: Path
) -> None:
    arguments = [
        *(
            "tune",
            str(recipe_file),
            "--sampler",
            "tpe",
            "--trials",
            "3",
            "--pruner",
            "median",
            "--epochs",
            "2",
        ),
        *("--range", "lr=0.0005:0.05:log", "--device", "cpu", "--json"),
    ]
    found = cli(*arguments).json
    assert len(found["trials"]) == 3
    states = [trial["state"] for trial in found["trials"]]
    assert set(states) <= {"complete", "pruned", "diverged"}
    assert 0.0005 <= found["chosen"]["learning_rate"] <= 0.05
    best = max(trial["validation_accuracy"] or 0 for trial in found["trials"])
    assert best > 0.5
    again = cli(*arguments).json  # it has ended: nothing is trained
    assert again["trials"] == found["trials"]


def test_a_pruned_point_is_ended_and_says_so(tmp_path: Path) -> None:
    place = Place(f"journal:{tmp_path / 'j'}", tmp_path, "cpu", None)
    space: Space = {"learning_rate": [0.003, 1e-7]}
    settings = StudySettings("x", pruner="median")
    recipe = QUICK.override(batch_size=512)
    with open_study(recipe, space, settings, place.storage) as opened:
        for value in (0.3, 0.31, 0.32, 0.33, 0.34):  # what five others reached
            trial = optuna.trial.create_trial(
                values=[value], intermediate_values={1: value, 2: value}, state=TrialState.COMPLETE
            )
            opened.add_trial(trial)
    document = search(recipe, space, settings, place, jobs=1, progress=SilentProgress())
    states = {trial.learning_rate: trial.state for trial in document.trials}
    assert states[1e-7] == "pruned"
    assert document.chosen == {"learning_rate": 0.003}


def _start_workers_warm() -> None:
    """Let processes be started from the one that has imported torch: what they are given is pickled as for others."""
    vars(multiprocessing)["get_context"] = lambda _method: CONTEXT


def test_workers_are_started_and_stopped_together(
    cli: Callable[..., Completed], recipe_file: Path, tmp_path: Path
) -> None:
    arguments = ["tune", str(recipe_file), "--grid", "lr=0.001,0.01", "--epochs", "1", "--device", "cpu"]
    arguments += ["--storage", f"journal:{tmp_path / 'j'}", "--jobs", "2"]
    shown = cli(*arguments, prepare=_start_workers_warm)
    assert shown.code == 0, shown.stderr
    assert "chosen on validation: learning rate" in shown.stdout
    lines = [line for line in shown.stderr.splitlines() if "of the validation images right" in line]
    assert len(set(lines)) == 2  # a worker with nothing left to do waits for the other's point and repeats it


@pytest.mark.parametrize("option", [["--sampler", "x"], ["--storage", "sqlite:///x"], ["--sampler", "tpe"]])
def test_wrong_options_are_one_line(cli: Callable[..., Completed], option: list[str]) -> None:
    assert cli("tune", "simple_cnn-mnist_5k", "--grid", "lr=0.1,0.2", *option).error


class _InterruptAt(SilentProgress):
    """Presses Ctrl-C at a line."""

    def __init__(self, line: int) -> None:
        self.left = line

    def line(self, _text: str) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("moment", ["within the second point", "after the first point"])
def test_an_interrupted_search_finishes_every_point_when_it_is_called_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    recipe, space = QUICK.override(batch_size=512, epochs=1), {"learning_rate": [0.001, 0.01]}
    place = Place(f"journal:{tmp_path / 'j'}", tmp_path, "cpu", None)
    trained = train.start_or_resume

    def interrupted(point: Recipe, *arguments: Any, **options: Any) -> Any:
        if list(tmp_path.glob("*/metrics.json")) and moment == "within the second point":
            raise Interrupted("Ctrl-C")
        return trained(point, *arguments, **options)

    monkeypatch.setattr(train, "start_or_resume", interrupted)
    progress = _InterruptAt(1) if moment == "after the first point" else SilentProgress()
    with pytest.raises(Interrupted, match="finished 1 point: run the same command again"):
        search(recipe, space, StudySettings("x"), place, jobs=1, progress=progress)
    monkeypatch.undo()
    document = search(recipe, space, StudySettings("x"), place, jobs=1, progress=SilentProgress())
    assert {trial.learning_rate: trial.state for trial in document.trials} == {
        0.001: "complete",
        0.01: "complete",
    }


def test_a_point_that_diverges_is_no_end(tmp_path: Path) -> None:
    recipe, space = QUICK.override(batch_size=512, epochs=1), {"learning_rate": [0.001, 1e30]}
    place = Place(f"journal:{tmp_path / 'j'}", tmp_path, "cpu", None)
    document = search(recipe, space, StudySettings("x"), place, jobs=1, progress=SilentProgress())
    assert {trial.state for trial in document.trials} == {"complete", "diverged"}
    assert document.chosen == {"learning_rate": 0.001}


def test_a_study_of_that_name_that_searches_something_else_is_refused(tmp_path: Path) -> None:
    storage = f"journal:{tmp_path / 'j'}"
    with open_study(QUICK, GRID, StudySettings("x"), storage):
        pass
    with open_study(QUICK, GRID, StudySettings("x"), storage):
        pass
    for recipe, space in ((QUICK.override(epochs=9), GRID), (QUICK, {**GRID, "batch_size": [1]})):
        with pytest.raises(UsageError, match="choose another name with --study"):
            open_study(recipe, space, StudySettings("x"), storage).__enter__()
