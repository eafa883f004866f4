"""A disk that fills up in the middle of a run, and folders that cannot be written: one clear line, nothing lost."""

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.privileges import obey_permissions
from tests.training.runs import QUICK, assert_same, resume
from tests.warm import CONTEXT
from vision_zoo.core.errors import StorageError
from vision_zoo.core.progress import SilentProgress
from vision_zoo.core.results import EpochRecord
from vision_zoo.training import train
from vision_zoo.training.run_directory import RunDirectory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs resource limits and capabilities")


def _error_of(start: Any, path: Path, answers: Any) -> None:
    """In a process of its own: say how training ends."""
    try:
        start(path)
    except StorageError as error:
        answers.put(str(error))
    else:
        answers.put("no error")


def _said(start: Any, path: Path) -> str:
    answers = CONTEXT.SimpleQueue()
    process = CONTEXT.Process(target=_error_of, args=(start, path, answers))
    process.start()
    process.join(120)
    process.kill()
    return "it ended without a word" if answers.empty() else str(answers.get())


def _train_until_the_disk_is_full(path: Path) -> None:
    import resource

    def fill(record: EpochRecord) -> bool:
        if record.epoch == 1:  # a limit on the size of files stops a write half-way, as a full disk does
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        return True

    train.start_or_resume(QUICK, path, device="cpu", data_dir=None, progress=SilentProgress(), watch=fill)


def test_a_disk_that_fills_up_loses_nothing(whole: Path, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    said = _said(_train_until_the_disk_is_full, run.path)
    assert said.startswith(f"cannot write {run.last}: the file would exceed the size limit")
    assert said.endswith("then run the same command again to continue")
    assert [record.epoch for record in run.history()] == [1]
    assert not list(run.path.rglob("*.tmp"))
    resume(run.path)
    assert_same(whole, run.path)


def _train_without_privileges(path: Path) -> None:
    obey_permissions()
    train.start(QUICK, path, device="cpu", data_dir=None, progress=SilentProgress())


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_that_may_not_be_written_is_one_line(tmp_path: Path, there: bool) -> None:
    path = tmp_path / "run"
    if there:
        path.mkdir(mode=0o555)
    tmp_path.chmod(0o555)
    said = _said(_train_without_privileges, path)
    tmp_path.chmod(0o755)
    assert said == (
        f"cannot write {path}: no permission to write there: choose another folder or change its permissions"
    )
    assert not there or not list(path.iterdir())
