import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.training.runs import assert_same
from tests.warm import CONTEXT
from vision_zoo.core.errors import RunError, TrainingError, UsageError
from vision_zoo.core.progress import SilentProgress
from vision_zoo.core.results import GridPoint, GridResult
from vision_zoo.experiments.search import shared_search
from vision_zoo.experiments.search.grid_search import choose, combinations, search_grid
from vision_zoo.experiments.search.search_space import parse_grid, tuned
from vision_zoo.recipes import find_recipe
from vision_zoo.recipes.grids import GRIDS
from vision_zoo.training import train

QUICK = find_recipe("simple_cnn-mnist_5k").override(architecture="small_cnn", epochs=1, batch_size=512)
SETTINGS = {"device": "cpu", "data_dir": None, "results_dir": None, "progress": SilentProgress()}
GRID: dict[str, list[float]] = {"batch_size": [256, 512], "learning_rate": [0.001, 0.01]}


def test_a_grid_is_read_from_the_command_line() -> None:
    assert parse_grid(["batch_size=64,128", "lr=0.001,0.01"]) == {
        "batch_size": [64, 128],
        "learning_rate": [0.001, 0.01],
    }


@pytest.mark.parametrize("option", ["lr", "speed=1,2", "batch_size=64,x", "batch_size=1.5", "lr=0.1,0.1"])
def test_a_grid_that_cannot_be_used_is_refused(option: str) -> None:
    with pytest.raises(UsageError, match="--grid"):
        parse_grid([option])


def test_a_recipe_without_a_published_grid_needs_one() -> None:
    with pytest.raises(UsageError, match="give one, for instance"):
        search_grid(QUICK, {}, out=Path("none"), jobs=1, **SETTINGS)  # type: ignore[arg-type]


def test_every_point_has_a_validation_split_to_choose_by() -> None:
    assert combinations(GRID)[1] == {"batch_size": 256, "learning_rate": 0.01}
    assert QUICK.stopping.patience is None
    assert tuned(QUICK).stopping.patience == QUICK.stopping.epochs


def test_validation_chooses_and_test_does_not() -> None:
    points = [
        GridPoint(run="1", validation_accuracy=0.9, validation_loss=0.3, test_accuracy=0.99),
        GridPoint(run="2", validation_accuracy=0.95, validation_loss=0.4, test_accuracy=0.8),
        GridPoint(run="3", validation_accuracy=0.95, validation_loss=0.2, test_accuracy=0.7),
        GridPoint(run="4", diverged=True),
    ]
    assert choose(points).run == "3"


@pytest.fixture(autouse=True)
def _workers_are_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the process that has imported torch; `test_study` has workers that are spawned, as users' are."""
    monkeypatch.setattr(multiprocessing, "get_context", lambda _method=None: CONTEXT)


def _search(out: Path, **options: object) -> GridResult:
    return search_grid(QUICK, GRID, out=out, **{"jobs": 2, **SETTINGS, **options})  # type: ignore[arg-type]


class _Lines(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.total = self.done = 0

    def start(self, description: str, total: int, *_rest: Any, **_named: Any) -> None:  # noqa: ARG002
        self.total = total

    def advance(self, steps: int = 1) -> None:
        self.done += steps

    def line(self, text: str) -> None:
        self.lines.append(text)


def test_a_search_tells_every_point_goes_on_where_it_was_and_keeps_figures_and_picture(
    tmp_path: Path,
) -> None:
    progress = _Lines()
    document = _search(tmp_path / "grid", results_dir=tmp_path / "results", progress=progress)
    assert len(document.points) == 4
    assert (progress.done, progress.total) == (4, 4)
    assert sorted(line.partition(":")[0] for line in progress.lines) == [
        f"batch size {batch}, learning rate {rate}" for batch in (256, 512) for rate in (0.001, 0.01)
    ]
    finished = {path: path.stat().st_mtime_ns for path in (tmp_path / "grid").glob("*/metrics.json")}
    assert len(finished) == 4
    next(iter(finished)).unlink()
    again = _search(tmp_path / "grid")
    assert again.points == document.points or again.chosen == document.chosen
    untouched = [path for path, written in finished.items() if path.stat().st_mtime_ns == written]
    assert len(untouched) == 3
    (kept,) = (tmp_path / "results").glob("*/*.json")
    assert kept.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"


def test_a_point_that_diverges_does_not_end_the_search(tmp_path: Path) -> None:
    grid = {"learning_rate": [0.001, 1e30]}
    document = search_grid(QUICK, grid, out=tmp_path / "grid", jobs=1, **SETTINGS)  # type: ignore[arg-type]
    assert [bool(point.diverged) for point in document.points] == [False, True]
    assert document.chosen == {"learning_rate": 0.001}
    with pytest.raises(RunError, match="diverged at every point"):
        search_grid(QUICK, {"learning_rate": [1e30]}, out=tmp_path / "none", jobs=1, **SETTINGS)  # type: ignore[arg-type]


def _killed(*_arguments: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_where_all_workers_are_lost_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_search, "_work_in_process", _killed)
    with pytest.raises(
        RunError, match=r"all workers were lost \(exit code -9\), perhaps for lack of memory; run"
    ):
        _search(tmp_path)


def _one_broken(*arguments: Any) -> None:
    """The first worker meets an error, the other one never ends by itself."""
    try:
        (arguments[3].out / "broken").touch(exist_ok=False)
    except FileExistsError:
        time.sleep(600)
    else:
        arguments[-1].send(TrainingError("a reason"))


def test_the_error_of_a_worker_ends_the_others_and_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_search, "_work_in_process", _one_broken)
    with pytest.raises(TrainingError, match="a reason"):
        _search(tmp_path)


def test_a_point_is_the_run_that_train_makes(tmp_path: Path) -> None:
    progress = _Lines()
    (_, point) = search_grid(
        QUICK,
        {"learning_rate": [0.001, 0.002]},
        out=tmp_path / "grid",
        jobs=1,
        **{**SETTINGS, "progress": progress},  # type: ignore[arg-type]
    ).points
    assert (progress.done, progress.total) == (2, 2)
    told = sorted(line.partition(":")[0] for line in progress.lines)
    assert told == ["learning rate 0.001", "learning rate 0.002"]
    recipe = tuned(QUICK).override(learning_rate=0.002)
    train.start(recipe, tmp_path / "run", device="cpu", data_dir=None, progress=SilentProgress())
    assert_same(tmp_path / "grid" / point.run, tmp_path / "run")


def test_a_folder_with_other_settings_is_refused(tmp_path: Path) -> None:
    point = QUICK.override(batch_size=256, learning_rate=0.001, seed=7, max_steps=1)
    path = tmp_path / "batch_size=256,learning_rate=0.001"
    train.start(point, path, device="cpu", data_dir=None, progress=SilentProgress())
    with pytest.raises(RunError, match="other settings"):
        _search(tmp_path)


def test_the_published_grids_are_complete() -> None:
    for grid in GRIDS.values():
        recipe = find_recipe(grid.recipe)
        assert len(grid.reported) == len(combinations(grid.values)) == 12
        assert max(grid.reported.values()) == grid.reported[recipe.batch_size, recipe.optimizer.learning_rate]
