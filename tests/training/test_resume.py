"""Interrupted or killed, a run goes on exactly where it was."""

import dataclasses
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess, SpawnProcess
from pathlib import Path

import pytest
import torch

from tests.training.runs import QUICK, InterruptAfter, assert_same, resume, start, state_of, write_few_digits
from tests.warm import CONTEXT
from vision_zoo.core.errors import Interrupted, RunError
from vision_zoo.core.progress import SilentProgress
from vision_zoo.core.results import EpochRecord
from vision_zoo.data.dataset import Splits
from vision_zoo.recipes import recipe_for
from vision_zoo.recipes.recipe import Augmentation, Recipe
from vision_zoo.training import fit, train
from vision_zoo.training.checkpoint import has_state, load_state
from vision_zoo.training.loop import Watch
from vision_zoo.training.run_directory import RunDirectory

_SECONDS = 240


def test_a_run_interrupted_twice_ends_like_an_uninterrupted_one(tmp_path: Path) -> None:
    recipe = QUICK.override(patience=5)
    uninterrupted = start(recipe, tmp_path / "whole")
    with pytest.raises(Interrupted, match=r"; 0 epochs and 3 steps of the next \(of 3 epochs\) are saved"):
        start(recipe, tmp_path / "parts", InterruptAfter(3))
    with pytest.raises(Interrupted, match="; 2 epochs and 1 step of the next"):
        resume(tmp_path / "parts", InterruptAfter(2 * 8 + 1))  # the bar begins at the steps done before
    resumed = resume(tmp_path / "parts")
    assert (resumed.test_accuracy, resumed.epochs) == (uninterrupted.test_accuracy, uninterrupted.epochs)
    assert_same(tmp_path / "whole", tmp_path / "parts")


def test_a_run_interrupted_before_its_first_step_begins_again(whole: Path, tmp_path: Path) -> None:
    class Impatient(SilentProgress):
        def advance(self, steps: int = 1) -> None:
            if steps == 0:  # nothing is done yet
                raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="; 0 epochs"):
        start(QUICK, tmp_path / "parts", Impatient())
    resume(tmp_path / "parts")
    assert_same(whole, tmp_path / "parts")


def test_a_run_that_died_after_its_last_checkpoint_has_its_whole_history(whole: Path, tmp_path: Path) -> None:
    run = RunDirectory(Path(shutil.copytree(whole, tmp_path / "died")))
    run.metrics_file.unlink()
    run.write_history(run.history()[:-1])
    resume(run.path)
    assert_same(whole, run.path)


_FIRST_METRICS = """{
  "test_accuracy": 0.91,
  "test_loss": 0.31038907170295715,
  "test_images": 1000,
  "train_seconds": 3.723,
  "inference_seconds": 0.524,
  "epochs": 1,
  "best_epoch": 1,
  "parameters": 421642,
  "confusion_matrix": [[97, 1], [0, 93]]
}
"""
"""metrics.json as the first version wrote it."""


def test_a_finished_run_of_the_first_version_is_readable(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.recipe_file.write_text(QUICK.to_json())
    run.metrics_file.write_text(_FIRST_METRICS)
    finished = resume(tmp_path)
    assert (finished.test_accuracy, finished.train_seconds, finished.epochs) == (0.91, 3.723, 1)


def test_a_cap_in_steps_holds_across_a_resumption(tmp_path: Path) -> None:
    recipe = QUICK.override(max_steps=11)
    with pytest.raises(Interrupted):
        start(recipe, tmp_path / "run", InterruptAfter(10))
    bar = InterruptAfter(1000)
    resume(tmp_path / "run", bar)
    assert bar.began == (8, 11)  # the whole training, and the steps of the epochs before
    assert [record.steps for record in RunDirectory.open(tmp_path / "run").history()] == [8, 11]


def _train_saving_often(recipe: str, path: Path) -> None:
    """In a process of its own: start or go on, saving after every step."""
    fit.SAVE_SECONDS = 0.0
    torch.set_num_threads(1)
    if (path / "recipe.json").exists():
        resume(path)
    else:
        start(Recipe.from_json(recipe, name="recipe"), path)


@pytest.fixture(scope="module")
def few_digits(mnist_5k: Splits, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_few_digits(mnist_5k, tmp_path_factory.mktemp("digits"))


def _stops_early(architecture: str, dataset: str) -> Recipe:
    return recipe_for(architecture, dataset, image_size=28).override(
        epochs=30,
        batch_size=16,
        learning_rate=0.01,
        schedule="one_cycle",
        augmentation=Augmentation(rotation=10),
        patience=2,
        validation_fraction=0.2,
    )


def kill_again_and_again(architecture: str, dataset: str, folder: Path, *, kills: int) -> None:
    """Kill runs at random moments, with augmentation, dropout and early stopping: all end bit for bit as one alone.

    A run that ends before it is killed is begun again.
    """
    recipe = _stops_early(architecture, dataset)
    whole = folder / "whole"
    _run_to_its_end(_process(recipe, whole))
    assert len(RunDirectory.open(whole).history()) < recipe.stopping.epochs
    moments, killed, ended = random.Random(0), 0, 0
    while killed < kills:
        run = RunDirectory(folder / str(ended))
        process = _process(recipe, run.path)
        process.start()
        _wait_for_a_save(run, process.is_alive)
        time.sleep(moments.uniform(0, 0.15))
        process.kill()
        process.join()
        if process.exitcode == 0:
            assert_same(whole, run.path)
            ended += 1
        else:
            assert process.exitcode == -signal.SIGKILL
            killed += 1
            _assert_loadable(run, recipe)
    _run_to_its_end(_process(recipe, run.path))
    assert_same(whole, run.path)


@pytest.mark.slow
def test_a_run_that_is_killed_ends_bit_for_bit_the_same(few_digits: str, tmp_path: Path) -> None:
    kill_again_and_again("small_cnn", few_digits, tmp_path, kills=1)


def _train_dying_while_saving(recipe: str, path: Path, moment: str) -> None:
    """In a process of its own, which ends within the writing of the third checkpoint."""
    moments = _Moments(moment)

    def replace(path: Path, target: Path) -> Path:
        return moments.replace(path, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", moments.fsync)
        patch.setattr(Path, "replace", replace)
        _train_saving_often(recipe, path)


class _Moments:
    """The system's calls of a save, with death at one of them."""

    def __init__(self, moment: str) -> None:
        self._moment = moment
        self._saves = 0
        self._fsync, self._replace = os.fsync, Path.replace

    def fsync(self, descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        if self._saves == 3:
            self._die_at("half of the file", name.startswith(".last.pt."), descriptor)
            self._die_at("folder not flushed", name == "checkpoints")
        self._fsync(descriptor)

    def replace(self, path: Path, target: Path) -> Path:
        self._saves += target.name == "previous.pt"
        replaced = self._replace(path, target)
        if self._saves == 3:
            self._die_at("between the renames", target.name == "previous.pt")
        return replaced

    def _die_at(self, moment: str, here: bool, descriptor: int | None = None) -> None:
        if here and moment == self._moment:
            if descriptor is not None:
                os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds open files in /proc")
@pytest.mark.parametrize("moment", ["half of the file", "between the renames", "folder not flushed"])
def test_a_run_that_dies_while_it_saves_goes_on(few_digits: str, tmp_path: Path, moment: str) -> None:
    recipe = _stops_early("small_cnn", few_digits).override(epochs=2)
    run = RunDirectory(tmp_path / "dies")
    dies = CONTEXT.Process(target=_train_dying_while_saving, args=(recipe.to_json(), run.path, moment))
    dies.start()
    dies.join(_SECONDS)
    assert dies.exitcode == -signal.SIGKILL
    _assert_loadable(run, recipe)
    _run_to_its_end(_process(recipe, run.path))
    _run_to_its_end(_process(recipe, tmp_path / "whole"))
    assert_same(tmp_path / "whole", run.path)


def _process(recipe: Recipe, path: Path) -> "ForkServerProcess | SpawnProcess":
    return CONTEXT.Process(target=_train_saving_often, args=(recipe.to_json(), path))


def _run_to_its_end(process: "ForkServerProcess | SpawnProcess") -> None:
    process.start()
    process.join(_SECONDS)
    process.kill()
    process.join()
    assert process.exitcode == 0


def _wait_for_a_save(run: RunDirectory, alive: Callable[[], bool]) -> None:
    before = run.last.stat().st_mtime_ns if run.last.exists() else 0
    deadline = time.monotonic() + _SECONDS
    while alive() and time.monotonic() < deadline:
        try:
            if run.last.stat().st_mtime_ns > before:
                return
        except FileNotFoundError:
            pass
        time.sleep(0.002)


def _assert_loadable(run: RunDirectory, recipe: Recipe) -> None:
    assert has_state(run.last, run.previous)
    state = state_of(recipe)
    load_state(run.last, run.previous, state, recipe)
    assert state.steps > 0


def _go_on(recipe: Recipe, path: Path, watch: Watch) -> bool:
    progress = SilentProgress()
    return train.start_or_resume(recipe, path, device="cpu", data_dir=None, progress=progress, watch=watch)


def test_who_watches_ends_a_run_and_it_goes_on_from_there(whole: Path, tmp_path: Path) -> None:
    run, seen = RunDirectory(tmp_path / "run"), list[float]()

    def watch(record: EpochRecord) -> bool:
        seen.append(record.epoch)
        return False

    assert not _go_on(QUICK, run.path, watch)
    assert not run.finished
    assert not _go_on(QUICK, run.path, watch)
    assert seen == [1, 2]
    assert _go_on(QUICK, run.path, lambda _record: True)
    assert_same(whole, run.path)
    assert _go_on(QUICK, run.path, watch)  # finished: nothing is trained
    assert seen == [1, 2]


def test_a_run_of_another_recipe_is_not_gone_on_with(whole: Path) -> None:
    for other in (QUICK.override(seed=1), QUICK.override(learning_rate=0.5)):
        with pytest.raises(RunError, match="other settings"):
            _go_on(other, whole, lambda _record: True)
    assert _go_on(dataclasses.replace(QUICK, title="other words"), whole, lambda _record: True)
