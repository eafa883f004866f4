"""Processes that are killed: a run ends bit for bit as it does alone, a search goes on, torchrun starts again."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests import warm
from tests.experiments.search.test_study_workers import (
    assert_complete,
    end_after_the_kill,
    four_workers_of_which_one_is_killed,
    kill_one_with_a_checkpoint,
)
from tests.serving.server.test_stopping import end_while_it_decodes, end_while_it_starts
from tests.training.runs import state_of, write_few_digits
from tests.training.test_distributed import ended, launched, losses
from tests.training.test_resume import kill_again_and_again
from vision_zoo.cli import main
from vision_zoo.core.progress import SilentProgress
from vision_zoo.data import find_dataset
from vision_zoo.recipes import recipe_for
from vision_zoo.training import train
from vision_zoo.training.checkpoint import load_state
from vision_zoo.training.run_directory import RunDirectory

_SECONDS = 240
_TOLERANCE = 1e-3  # of losses, relative: sums in another order, over seventy steps


def test_a_server_is_ended_while_it_starts(models: Path, tmp_path: Path) -> None:
    end_while_it_starts(tmp_path, "serve", "--demo", "--models-dir", str(models), moments=12)


@pytest.mark.parametrize(
    ("number", "signals", "deadline"),
    [
        (signal.SIGTERM, 1, "6"),
        (signal.SIGINT, 3, "60"),  # repeated signals end what runs sooner than the deadline
    ],
)
def test_a_server_is_ended_while_it_decodes(
    models: Path, tmp_path: Path, number: signal.Signals, signals: int, deadline: str
) -> None:
    end_while_it_decodes(models, tmp_path, number, signals, deadline=deadline)


@pytest.mark.parametrize("architecture", ["small_cnn", "patch_lstm", "vit"])
def test_a_run_is_killed_twenty_times(tmp_path: Path, architecture: str) -> None:
    dataset = write_few_digits(find_dataset("mnist-5k").load(), tmp_path / "digits")
    kill_again_and_again(architecture, dataset, tmp_path, kills=20)


def test_four_workers_share_a_journal_and_one_is_killed(tmp_path: Path) -> None:
    dataset = write_few_digits(find_dataset("mnist-5k").load(), tmp_path / "digits")
    quick = recipe_for("small_cnn", dataset, image_size=28).override(epochs=2)
    storage = f"journal:{tmp_path / 'study.journal'}"
    four_workers_of_which_one_is_killed(quick, storage, tmp_path / "runs")
    assert_complete(quick, storage, tmp_path / "runs")


def _children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def _tune(output: Path, out: Path, arguments: list[str]) -> None:
    """In a process of its own: `vision-zoo tune`, whose workers are forked from it."""
    fork = multiprocessing.get_context("fork")
    warm.redirect(output)
    end_after_the_kill(out)
    sys.argv = ["vision-zoo", "tune", *arguments]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multiprocessing, "get_context", lambda _method: fork)
        main()


def test_workers_of_one_call_go_on_without_the_one_that_is_killed(tmp_path: Path) -> None:
    out = tmp_path / "runs"
    arguments = ["simple_cnn-mnist_5k", "--device", "cpu", "--jobs", "2", "--epochs", "1", "--out", str(out)]
    arguments += ["--grid", "lr=0.001,0.002,0.005", "--storage", f"journal:{tmp_path / 'j'}"]
    call = warm.CONTEXT.Process(target=_tune, args=(tmp_path, out, arguments))
    try:
        call.start()
        kill_one_with_a_checkpoint(lambda: _children(call.pid or 0), out)
        call.join(_SECONDS)
    finally:
        call.kill()
    stderr = (tmp_path / "stderr").read_text()
    assert call.exitcode == 0, stderr
    assert "warning: a worker was lost (exit code -9); the others continue" in stderr
    assert "chosen on validation: learning rate" in (tmp_path / "stdout").read_text()
    assert len(list(out.glob("*/metrics.json"))) == 3


def _torchrun(path: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", "--monitor-interval", "0.1"]
    command += ["-m", "vision_zoo", "train", "--device", "cpu", "--out", str(path), *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def _arguments(*, epochs: int, max_steps: int) -> list[str]:
    given = {"architecture": "small_cnn", "dataset": "mnist-5k", "epochs": epochs, "max-steps": max_steps}
    return [text for name, value in given.items() for text in (f"--{name}", str(value))]


def test_a_killed_process_is_started_again_and_the_run_goes_on(tmp_path: Path) -> None:
    arguments = _arguments(epochs=3, max_steps=70)
    job = launched(tmp_path / "said", tmp_path / "run", *arguments, restarts=1)
    history = tmp_path / "run" / "history.csv"
    deadline = time.monotonic() + _SECONDS
    while not history.exists():
        assert job.exitcode is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    workers = [int(child) for child in Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()]
    assert len(workers) >= 2
    os.kill(workers[-1], signal.SIGKILL)
    _, stderr = ended(job, tmp_path / "said")
    assert "resuming after" in stderr
    run = RunDirectory.open(tmp_path / "run")
    assert [record.epoch for record in run.history()] == list(range(1, len(run.history()) + 1))
    recipe = recipe_for("small_cnn", "mnist-5k").override(epochs=3, max_steps=70)
    train.start(recipe, tmp_path / "one", device="cpu", data_dir=None, progress=SilentProgress())
    found, expected = (losses(tmp_path / name) for name in ("run", "one"))
    np.testing.assert_allclose(found, expected, rtol=_TOLERANCE)


def test_ctrl_c_stops_all_processes_after_the_same_step(tmp_path: Path) -> None:
    arguments = _arguments(epochs=200, max_steps=6000)
    job = _torchrun(tmp_path / "run", *arguments)
    run = RunDirectory(tmp_path / "run")
    deadline = time.monotonic() + _SECONDS
    while not run.history_file.exists():
        assert job.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(job.pid, signal.SIGINT)  # as a terminal does, to torchrun and its processes
    _, stderr = job.communicate(timeout=_SECONDS)
    assert job.returncode != 0
    (said,) = set(re.findall(r"error: interrupted; (.*)", stderr))
    assert said.endswith(f"are saved: continue with `vision-zoo train --resume {run.path}`")
    recipe = run.recipe()
    state = state_of(recipe)
    assert load_state(run.last, run.previous, state, recipe) is None
    assert said.startswith(state.reached)
