"""Training that is killed at sixty moments ends bit for bit as it does alone; a search goes on without a worker."""

import multiprocessing
import sys
from pathlib import Path

import pytest

from tests import warm
from tests.experiments.search.test_study_workers import (
    assert_complete,
    end_after_the_kill,
    four_workers_of_which_one_is_killed,
    kill_one_with_a_checkpoint,
)
from tests.serving.server.test_stopping import end_while_it_starts
from tests.training.runs import write_few_digits
from tests.training.test_resume import kill_again_and_again
from vision_zoo.cli import main
from vision_zoo.data import find_dataset
from vision_zoo.recipes import recipe_for

_SECONDS = 180


def test_a_server_is_ended_while_it_starts(models: Path, tmp_path: Path) -> None:
    end_while_it_starts(models, tmp_path, moments=12)


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
