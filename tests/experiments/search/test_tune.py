import os
import signal
from pathlib import Path

import pytest

from vision_zoo.core.errors import RunError, UsageError
from vision_zoo.core.progress import SilentProgress
from vision_zoo.experiments.search import tune
from vision_zoo.experiments.search.grid_search import search
from vision_zoo.experiments.search.search_space import parse_grid
from vision_zoo.experiments.search.tune import PointRun, choose, points
from vision_zoo.recipes import find_recipe
from vision_zoo.recipes.grids import GRIDS

QUICK = find_recipe("simple_cnn-mnist_5k").override(architecture="small_cnn", epochs=1, batch_size=512)
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
        points(QUICK, {})


def test_every_point_has_a_validation_split_to_choose_by() -> None:
    made = points(QUICK, GRID)
    assert [combination for combination, _ in made][1] == {"batch_size": 256, "learning_rate": 0.01}
    assert all(recipe.patience is not None for _, recipe in made)


def test_validation_chooses_and_test_does_not() -> None:
    runs = [
        PointRun(
            {"lr": 1}, Path("a"), {"validation_accuracy": 0.9, "validation_loss": 0.3, "test_accuracy": 0.99}
        ),
        PointRun(
            {"lr": 2}, Path("b"), {"validation_accuracy": 0.95, "validation_loss": 0.4, "test_accuracy": 0.8}
        ),
        PointRun(
            {"lr": 3}, Path("c"), {"validation_accuracy": 0.95, "validation_loss": 0.2, "test_accuracy": 0.7}
        ),
    ]
    assert choose(runs).values == {"lr": 3}


def _search(out: Path, **options: object) -> dict[str, object]:
    settings: dict[str, object] = {"jobs": 2, "device": "cpu", "data_dir": None, "results_dir": None}
    return search(QUICK, GRID, out=out, progress=SilentProgress(), **{**settings, **options})  # type: ignore[arg-type]


def test_a_search_goes_on_where_it_was_and_keeps_figures_and_picture(tmp_path: Path) -> None:
    document = _search(tmp_path / "grid", results_dir=tmp_path / "results")
    assert len(document["points"]) == 4  # type: ignore[arg-type]
    finished = {path: path.stat().st_mtime_ns for path in (tmp_path / "grid").glob("*/metrics.json")}
    assert len(finished) == 4
    next(iter(finished)).unlink()
    again = _search(tmp_path / "grid")
    assert again["points"] == document["points"] or again["chosen"] == document["chosen"]
    untouched = [path for path, written in finished.items() if path.stat().st_mtime_ns == written]
    assert len(untouched) == 3
    (kept,) = (tmp_path / "results").glob("*/*.json")
    assert kept.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"


def test_a_point_that_diverges_does_not_end_the_search(tmp_path: Path) -> None:
    grid = {"learning_rate": [0.001, 1e30]}
    settings = {"device": "cpu", "data_dir": None, "results_dir": None, "progress": SilentProgress()}
    document = search(QUICK, grid, out=tmp_path / "grid", jobs=1, **settings)  # type: ignore[arg-type]
    assert [point.get("diverged", False) for point in document["points"]] == [False, True]
    assert document["chosen"] == {"learning_rate": 0.001}
    with pytest.raises(RunError, match="diverged at every point"):
        search(QUICK, {"learning_rate": [1e30]}, out=tmp_path / "none", jobs=1, **settings)  # type: ignore[arg-type]


def _killed(*_arguments: object) -> float:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0.0


def test_a_job_that_is_lost_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune, "_train_point", _killed)
    with pytest.raises(RunError, match="a job was lost, killed for memory perhaps; run the same command"):
        _search(tmp_path)


def test_a_folder_with_other_settings_is_refused(tmp_path: Path) -> None:
    from vision_zoo.training import train

    point = QUICK.override(batch_size=256, learning_rate=0.001, seed=7)
    path = tmp_path / "batch_size=256,learning_rate=0.001"
    train.start(point, path, device="cpu", data_dir=None, progress=SilentProgress())
    with pytest.raises(RunError, match="other settings"):
        _search(tmp_path)


def test_the_published_grids_are_complete() -> None:
    for grid in GRIDS.values():
        recipe = find_recipe(grid.recipe)
        assert len(grid.reported) == len(points(recipe, grid.values)) == 12
        assert max(grid.reported.values()) == grid.reported[recipe.batch_size, recipe.learning_rate]
