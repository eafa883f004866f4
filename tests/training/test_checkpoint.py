"""Damaged checkpoints, those of another recipe, and losses that are not finite."""

import shutil
from pathlib import Path

import pytest
import torch

from tests.training.runs import QUICK, assert_same, resume, start, state_of
from vision_zoo.core.errors import RunError, TrainingError
from vision_zoo.core.progress import SilentProgress
from vision_zoo.recipes import find_recipe
from vision_zoo.training.checkpoint import load_state, save_state
from vision_zoo.training.run_directory import RunDirectory


class _Lines(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.parametrize("damage", ["truncated", "one bit", "missing"])
def test_a_damaged_checkpoint_is_replaced_by_the_one_before(
    interrupted: RunDirectory, whole: Path, damage: str
) -> None:
    content = bytearray(interrupted.last.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "missing":
        interrupted.last.unlink()
    else:
        interrupted.last.write_bytes(content[:-5000] if damage == "truncated" else content)
    told = _Lines()
    resume(interrupted.path, told)
    assert any("is damaged or missing; continuing from" in line for line in told.lines)
    assert_same(whole, interrupted.path)


def test_the_next_save_does_not_put_a_damaged_checkpoint_in_the_place_of_the_good_one(
    interrupted: RunDirectory,
) -> None:
    good = interrupted.previous.read_bytes()
    interrupted.last.write_bytes(interrupted.last.read_bytes()[:-5000])
    state = state_of(QUICK)
    assert load_state(interrupted.last, interrupted.previous, state, QUICK) is not None
    save_state(interrupted.last, interrupted.previous, state, QUICK)
    assert interrupted.previous.read_bytes() == good
    assert load_state(interrupted.last, interrupted.previous, state, QUICK) is None


def test_two_damaged_checkpoints_are_an_error(interrupted: RunDirectory) -> None:
    for path in (interrupted.last, interrupted.previous):
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(RunError, match=r"last\.pt is damaged and cannot be resumed from"):
        resume(interrupted.path)


def test_a_checkpoint_is_a_plain_file_of_torch_with_a_checksum(interrupted: RunDirectory) -> None:
    content = torch.load(interrupted.last, weights_only=True)
    assert (content["epoch"], content["steps"], len(content["partial"]["sizes"])) == (1, 10, 2)


def test_a_checkpoint_of_another_recipe_is_refused(finished_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    (run / "metrics.json").unlink()
    (run / "recipe.json").write_text(find_recipe("simple_cnn-mnist_5k").override(batch_size=9).to_json())
    with pytest.raises(RunError, match="belongs to another recipe"):
        resume(run)


def test_a_loss_that_is_not_finite_stops_training_and_says_where(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"the loss became \w+ in step \d+ of epoch 1"):
        start(QUICK.override(learning_rate=1e30), tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert not RunDirectory.open(tmp_path / "run").last.exists()


def test_a_last_step_that_spoils_the_weights_after_a_finite_loss_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"\w+ is no longer finite in epoch 1: earlier checkpoints"):
        start(QUICK.override(learning_rate=1e38, max_steps=1, optimizer="sgd"), tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert not RunDirectory.open(tmp_path / "run").last.exists()


def test_what_was_saved_before_a_loss_that_is_not_finite_is_kept(interrupted: RunDirectory) -> None:
    state = state_of(QUICK)
    load_state(interrupted.last, interrupted.previous, state, QUICK)
    with torch.no_grad():
        next(state.network.parameters()).fill_(float("nan"))
    save_state(interrupted.last, interrupted.previous, state, QUICK)
    before = interrupted.last.read_bytes()
    with pytest.raises(TrainingError, match="the loss became nan in step 3 of epoch 2"):
        resume(interrupted.path)
    assert interrupted.last.read_bytes() == before
