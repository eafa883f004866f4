"""Runs that tests of resumption begin with."""

from pathlib import Path

import pytest

from tests.training.runs import QUICK, InterruptAfter, start
from vision_zoo.core.errors import Interrupted
from vision_zoo.training.run_directory import RunDirectory


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """QUICK, uninterrupted. Read only."""
    path = tmp_path_factory.mktemp("whole") / "run"
    start(QUICK, path)
    return path


@pytest.fixture
def interrupted(tmp_path: Path) -> RunDirectory:
    """A run with one epoch and two steps done."""
    with pytest.raises(Interrupted):
        start(QUICK, tmp_path / "run", InterruptAfter(10))
    return RunDirectory.open(tmp_path / "run")
