"""Runs that tests of resumption begin with."""

from pathlib import Path

import pytest

from tests.training.runs import QUICK, InterruptAfter, fill, start, trained
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


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of classes and a run on it. Read only."""
    root = tmp_path_factory.mktemp("plain")
    folder = fill(root / "p", range(8))
    (folder / "fish" / "damaged.png").write_bytes(b"damaged")
    return folder, trained(folder, root / "run")


@pytest.fixture(scope="session")
def split(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder with splits of its own and a run on it. Read only."""
    root = tmp_path_factory.mktemp("split")
    fill(root / "s" / "train", range(6))
    fill(root / "s" / "test", range(6, 9))
    return root / "s", trained(root / "s", root / "run")
