"""Interrupted or killed, a run goes on exactly where it was."""

import random
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess, SpawnProcess
from pathlib import Path

import pytest
import torch

from tests.training.runs import QUICK, InterruptAfter, assert_same, resume, start, state_of
from tests.warm import CONTEXT
from vision_zoo.errors import Interrupted
from vision_zoo.progress import SilentProgress
from vision_zoo.training import train
from vision_zoo.training.checkpoint import has_state, load_state
from vision_zoo.training.recipe import Augmentation, Recipe
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


def test_a_cap_in_steps_holds_across_a_resumption(tmp_path: Path) -> None:
    recipe = QUICK.override(max_steps=11)
    with pytest.raises(Interrupted):
        start(recipe, tmp_path / "run", InterruptAfter(10))
    resume(tmp_path / "run")
    assert [record["steps"] for record in RunDirectory.open(tmp_path / "run").history()] == [8, 11]


def _train_saving_often(recipe: str, path: Path) -> None:
    """In a process of its own: start or go on, saving after every step."""
    train.SAVE_SECONDS = 0.0
    torch.set_num_threads(1)
    if (path / "recipe.json").exists():
        resume(path)
    else:
        start(Recipe.from_json(recipe, name="recipe"), path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "kills"),
    [("small_cnn", 20), ("patch_lstm", 3), ("vit", 3)],
    ids=str,
)
def test_a_run_that_is_killed_again_and_again_ends_bit_for_bit_the_same(
    tmp_path: Path, architecture: str, kills: int
) -> None:
    """Random moments, within the writing of a checkpoint too; augmentation, dropout and early stopping are on."""
    recipe = QUICK.override(
        architecture=architecture,
        epochs=4,
        batch_size=128 if architecture == "small_cnn" else 32,
        max_steps=110 if architecture == "small_cnn" else 20,
        augmentation=Augmentation(rotation=10),
        patience=2,
        schedule="one_cycle",
    )
    whole = CONTEXT.Process(target=_train_saving_often, args=(recipe.to_json(), tmp_path / "whole"))
    _run_to_its_end(whole)
    run = RunDirectory(tmp_path / "killed")
    moments = random.Random(0)
    killed = 0
    while killed < kills:
        process = CONTEXT.Process(target=_train_saving_often, args=(recipe.to_json(), run.path))
        process.start()
        _wait_for_a_save(run, process.is_alive)
        time.sleep(moments.uniform(0, 0.15))
        process.kill()
        process.join()
        killed += 1
        if process.exitcode == 0:
            break
        _assert_loadable(run, recipe)
    assert killed >= 3
    last = CONTEXT.Process(target=_train_saving_often, args=(recipe.to_json(), run.path))
    _run_to_its_end(last)
    assert_same(tmp_path / "whole", run.path)


def _run_to_its_end(process: "ForkServerProcess | SpawnProcess") -> None:
    process.start()
    process.join(_SECONDS)
    process.kill()
    process.join()
    assert process.exitcode == 0


def _wait_for_a_save(run: RunDirectory, alive: Callable[[], bool]) -> None:
    before = run.last.stat().st_mtime_ns if run.last.exists() else 0
    deadline = time.monotonic() + 60
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
