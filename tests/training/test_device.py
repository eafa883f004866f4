"""How many threads training takes: those it was told, and no more than there are cores for it."""

from pathlib import Path

import pytest
import torch

from tests.training.runs import QUICK, start
from vision_zoo.core import environment
from vision_zoo.training.device import choose_device, limit_threads
from vision_zoo.training.run_directory import RunDirectory


@pytest.fixture
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's quota of one core on a machine of four."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(environment, "usable_cores", lambda: 1)
    torch.set_num_threads(4)


@pytest.mark.usefixtures("one_core")
def test_a_quota_limits_them_and_the_choice_of_a_device_changes_nothing() -> None:
    assert choose_device("cpu").type == "cpu"
    assert torch.get_num_threads() == 4
    limit_threads()
    assert torch.get_num_threads() == 1


@pytest.mark.usefixtures("one_core")
def test_a_number_of_the_users_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    limit_threads()
    assert torch.get_num_threads() == 4


def test_a_lower_number_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(environment, "usable_cores", lambda: 4)
    torch.set_num_threads(1)  # as a worker of several has it
    limit_threads()
    assert torch.get_num_threads() == 1


@pytest.mark.usefixtures("one_core")
def test_a_run_keeps_to_the_quota(tmp_path: Path) -> None:
    start(QUICK.override(epochs=1, max_steps=1), tmp_path / "run")
    assert RunDirectory.open(tmp_path / "run").environment().threads == 1
