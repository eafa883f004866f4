"""A run that is continued to more epochs ends as one that was started with them."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.runs import QUICK, InterruptAfter, assert_same, start
from vision_zoo import api
from vision_zoo.core.errors import Interrupted, RunError, UsageError
from vision_zoo.core.progress import SilentProgress
from vision_zoo.recipes.recipe import Augmentation
from vision_zoo.training import train
from vision_zoo.training.run_directory import RunDirectory

_FULL = QUICK.override(
    batch_size=1000, augmentation=Augmentation(rotation=10, shift=2), step_epochs=1, gamma=0.5, validate=True
)


def _extend(run: Path, epochs: int) -> int:
    return api.resume(run, epochs=epochs, device="cpu", progress=False).epochs


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of one epoch. Read only."""
    path = tmp_path_factory.mktemp("one") / "run"
    start(_FULL.override(epochs=1), path)
    return path


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> RunDirectory:
    return RunDirectory(shutil.copytree(finished, tmp_path / "run"))


def test_a_finished_run_goes_on_bit_for_bit(run: RunDirectory, tmp_path: Path) -> None:
    start(_FULL.override(epochs=3), tmp_path / "whole")
    assert _extend(run.path, 3) == 3
    assert_same(tmp_path / "whole", run.path)
    assert run.recipe().to_json() == RunDirectory(tmp_path / "whole").recipe().to_json()
    assert run.metrics().epochs == 3


def test_an_interrupted_extension_is_resumed_without_naming_it_again(
    run: RunDirectory, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted, match=r"\(of 3 epochs\) are saved"):
        train.resume(run.path, device="cpu", data_dir=None, progress=InterruptAfter(2), epochs=3)
    assert not run.finished
    assert api.resume(run.path, device="cpu", progress=False).epochs == 3


def test_an_unfinished_run_can_have_other_epochs(interrupted: RunDirectory) -> None:
    assert _extend(interrupted.path, 2) == 2
    assert [record.steps for record in interrupted.history()] == [8, 16]


@pytest.mark.parametrize("epochs", [1, 0])
def test_fewer_epochs_than_are_trained_are_refused(run: RunDirectory, epochs: int) -> None:
    before = run.metrics_file.read_bytes(), run.recipe_file.read_bytes()
    with pytest.raises((RunError, UsageError), match=r"has trained 1 epoch |epochs 0 is out of range"):
        _extend(run.path, epochs)
    assert (run.metrics_file.read_bytes(), run.recipe_file.read_bytes()) == before


def test_a_schedule_that_falls_to_the_last_epoch_forbids_it(run: RunDirectory) -> None:
    run.recipe_file.write_text(_FULL.override(epochs=1, schedule="one_cycle").to_json())
    with pytest.raises(UsageError, match="follows the schedule one_cycle over 1 epoch,") as refused:
        _extend(run.path, 3)
    assert "\n" not in str(refused.value)
    assert run.finished


@pytest.mark.parametrize(
    ("ended", "by"), [({"max_steps": 4}, "max-steps"), ({"max_minutes": 1e-9}, "max-minutes")]
)
def test_what_ended_a_run_would_end_it_again(run: RunDirectory, ended: dict[str, float], by: str) -> None:
    run.recipe_file.write_text(run.recipe().override(**ended).to_json())
    with pytest.raises(RunError, match=f"was stopped by --{by} after 1 epoch, and would stop there again"):
        _extend(run.path, 3)
    assert run.finished


def test_early_stopping_would_stop_again(run: RunDirectory) -> None:
    run.recipe_file.write_text(run.recipe().override(patience=1).to_json())
    run.write_metrics(replace(run.metrics(), best_epoch=0))
    with pytest.raises(RunError, match="was stopped by --patience"):
        _extend(run.path, 20)
    assert run.finished


def test_without_a_checkpoint_it_cannot_go_on(run: RunDirectory) -> None:
    shutil.rmtree(run.last.parent)
    with pytest.raises(RunError, match="has no checkpoint to continue from"):
        _extend(run.path, 3)
    assert run.finished


def test_a_run_that_was_scored_before_its_last_epoch_goes_on(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        start(_FULL.override(epochs=3), tmp_path / "run", InterruptAfter(5))
    train.finish(tmp_path / "run", device="cpu", data_dir=None, progress=SilentProgress())
    assert RunDirectory(tmp_path / "run").metrics().epochs == 1
    assert _extend(tmp_path / "run", 3) == 3
