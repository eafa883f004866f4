"""What TensorBoard shows of a run, read with TensorBoard's own reader."""

import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.training.runs import QUICK, resume, start
from vision_zoo.core.event_file import encode
from vision_zoo.core.progress import SilentProgress
from vision_zoo.training import fit
from vision_zoo.training.run_directory import RunDirectory

_STEPS = 24  # three epochs of eight


def _scalars(run: Path) -> dict[str, dict[int, float]]:
    """Values by step and name; no step stands twice."""
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    found = {name: events.Scalars(name) for name in events.Tags()["scalars"]}
    assert all(len({event.step for event in listed}) == len(listed) for listed in found.values())
    return {name: {event.step: event.value for event in listed} for name, listed in found.items()}


class _Look(SilentProgress):
    """Reads the scalars after so many steps, while the run goes on."""

    def __init__(self, run: Path, steps: int) -> None:
        self.run = run
        self.left = steps
        self.seen: dict[str, dict[int, float]] = {}

    def advance(self, steps: int = 1) -> None:
        self.left -= steps
        if self.left == 0:
            self.seen = _scalars(self.run)


def test_scalars_are_there_in_the_middle_of_an_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "SAVE_SECONDS", 0.0)
    look = _Look(tmp_path / "run", steps=12)
    start(QUICK.override(patience=5), tmp_path / "run", look)
    assert {name: list(values) for name, values in look.seen.items()} == {
        "train_loss": list(range(1, 12)),  # the twelfth step is done, and not saved yet
        "train_accuracy": [8],
        "val_loss": [8],
        "val_accuracy": [8],
        "test_loss": [8],
        "test_accuracy": [8],
    }


def test_scalars_are_the_losses_of_steps_and_the_scores_of_epochs(whole: Path) -> None:
    found = _scalars(whole)
    assert list(found["train_loss"]) == list(range(1, _STEPS + 1))
    for record in RunDirectory.open(whole).history():
        assert found["test_loss"][record.steps] == pytest.approx(record.test_loss, abs=1e-5)
        assert found["train_accuracy"][record.steps] == pytest.approx(record.train_accuracy, abs=1e-5)
    (first,) = (record.train_loss for record in RunDirectory.open(whole).history()[:1])
    assert sum(found["train_loss"][step] for step in range(1, 9)) / 8 == pytest.approx(first, rel=0.01)


def test_a_resumed_run_shows_every_step_once(interrupted: RunDirectory, whole: Path) -> None:
    (events,) = interrupted.tensorboard.iterdir()
    with events.open("ab") as file:
        file.write(encode("train_loss", range(11, 14), [9.0] * 3))  # of steps that were lost with the process
        file.write(encode("train_loss", [14], [9.0])[:-20])
    resume(interrupted.path)
    assert _scalars(interrupted.path) == _scalars(whole)


def test_a_test_split_without_a_curve_is_shown_once(tmp_path: Path) -> None:
    result = start(QUICK.override(epochs=1).replace(test_curve=False), tmp_path / "run")
    found = _scalars(result.path)
    assert found["test_accuracy"] == {8: pytest.approx(result.test_accuracy, abs=1e-6)}
    assert set(found) == {"train_loss", "train_accuracy", "test_loss", "test_accuracy"}


def test_training_does_not_load_tensorboard() -> None:
    code = "import sys, vision_zoo.training.train; print([name for name in sys.modules if 'tensorboard' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
