"""Workers that share a search through a journal or a database: with a lost one nothing is lost, or trained twice."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from optuna.trial import TrialState

from tests.conftest import free_port
from tests.training.runs import write_few_digits
from tests.warm import CONTEXT
from vision_zoo.core.errors import StorageError, UsageError
from vision_zoo.data.dataset import Splits
from vision_zoo.experiments.search import study, study_storage
from vision_zoo.experiments.search.search_space import Space, folder_name
from vision_zoo.experiments.search.study import Place, StudySettings, open_study
from vision_zoo.experiments.search.study_storage import open_storage
from vision_zoo.recipes import find_recipe, recipe_for
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training import run_outputs
from vision_zoo.training.run_directory import RunDirectory

GRID: Space = {"batch_size": [8, 16], "learning_rate": [1e-5, 0.01]}
_SECONDS = 180
_HEARTBEAT = 5
"""Seconds: three of them without a sign, which no worker needs on a busy machine, and it is lost."""
_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="finds who trains in /proc")


@pytest.fixture(scope="module")
def quick(mnist_5k: Splits, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    dataset = write_few_digits(mnist_5k, tmp_path_factory.mktemp("digits"))
    return recipe_for("small_cnn", dataset, image_size=28).override(epochs=2)


def _worker(recipe: str, storage: str, out: Path, data_dir: Path | None) -> None:
    """In a process of its own; lost workers are noticed soon."""
    study_storage.HEARTBEAT_SECONDS = _HEARTBEAT
    torch.set_num_threads(1)
    end_after_the_kill(out)
    study.work(
        Recipe.from_json(recipe, name="recipe"),
        GRID,
        StudySettings("together"),
        Place(storage, out, "cpu", data_dir),
        lambda _line: None,
    )


def end_after_the_kill(out: Path) -> None:
    """Let no run of this process end before one of the workers is killed."""

    def wait(*_arguments: object, **_options: object) -> None:
        while not (out / "killed").exists():
            time.sleep(0.01)

    vars(vars(run_outputs)["plots"])["write_curves"] = wait


def kill_one_with_a_checkpoint(processes: Callable[[], Sequence[int]], out: Path) -> Path:
    """Kill a worker that trains and has saved an epoch; returns the run that it trains."""
    killed, run = _worker_with_a_checkpoint(processes, out)
    os.kill(killed, signal.SIGKILL)
    (out / "killed").touch()
    return run


def four_workers_of_which_one_is_killed(quick: Recipe, storage: str, out: Path) -> None:
    """Start four that share `storage`, and kill one that trains."""
    workers = [CONTEXT.Process(target=_worker, args=(quick.to_json(), storage, out, None)) for _ in range(4)]
    try:
        for worker in workers:
            worker.start()
        run = kill_one_with_a_checkpoint(lambda: [worker.pid or 0 for worker in workers], out)
        begun = (run / "recipe.json").stat().st_mtime_ns
        for worker in workers:
            worker.join(_SECONDS)
    finally:
        for worker in workers:
            worker.kill()
    assert sorted(worker.exitcode or 0 for worker in workers) == [-signal.SIGKILL, 0, 0, 0]
    assert (run / "recipe.json").stat().st_mtime_ns == begun  # gone on with, not begun again


def _worker_with_a_checkpoint(processes: Callable[[], Sequence[int]], out: Path) -> tuple[int, Path]:
    """One that trains and has saved an epoch, and the run that it trains."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        for process in processes():
            for run in _runs_locked_by(process, out):
                if (run / "checkpoints" / "last.pt").exists() and not (run / "metrics.json").exists():
                    return process, run
        time.sleep(0.005)
    raise AssertionError("no worker has trained an epoch")


def _runs_locked_by(process: int, out: Path) -> Iterator[Path]:
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        try:
            file = descriptor.readlink()
        except FileNotFoundError:  # closed since
            continue
        if file.name == ".lock" and file.is_relative_to(out.resolve()):
            yield file.parent


def assert_complete(quick: Recipe, storage: str, out: Path) -> None:
    """Every point of the grid was trained, once and to its end."""
    with open_study(quick, GRID, StudySettings("together"), storage) as opened:
        complete = opened.get_trials(states=(TrialState.COMPLETE,))
    names = {folder_name(trial.params) for trial in complete}
    assert len(names) == 4
    for name in names:
        run = RunDirectory.open(out / name)
        assert run.finished
        assert [record.epoch for record in run.history()] == [1, 2]
    assert len({trial.value for trial in complete}) > 1


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real server, started for these tests."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    binary = str(found[-1]) if found else shutil.which("initdb")
    if binary is None:
        if os.geteuid() == 0:
            pytest.fail("PostgreSQL is missing: run scripts/install_postgresql.sh")
        pytest.skip("needs a PostgreSQL server: install the package postgresql")
    user = "postgres" if os.geteuid() == 0 else None  # the server does not run as root
    folder = tmp_path_factory.mktemp("postgresql")
    for parent in (folder, *folder.parents):
        if parent.is_relative_to(tempfile.gettempdir()) and parent != Path(tempfile.gettempdir()):
            parent.chmod(0o755)
    data = folder / "data"
    data.mkdir()
    if user:
        shutil.chown(data, user)
    port = free_port()
    options: dict[str, Any] = {
        "cwd": data,
        "user": user,
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.STDOUT,
    }
    subprocess.run(
        [binary, "-D", data, "-U", "zoo", "-A", "trust", "--no-sync", "-E", "UTF8"],
        check=True,
        env={"LC_ALL": "C"},
        **options,
    )
    command = [
        str(Path(binary).resolve().parent / "postgres"),
        "-D",
        str(data),
        "-p",
        str(port),
        "-k",
        str(data),
        "-h",
        "127.0.0.1",
    ]
    with subprocess.Popen(command, **options) as server:
        try:
            _wait_for(port)
            yield f"postgresql://zoo@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)  # does not wait for its clients


def _wait_for(port: int) -> None:
    import psycopg

    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            psycopg.connect(f"host=127.0.0.1 port={port} user=zoo dbname=postgres").close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return


@pytest.mark.slow
@_LINUX
def test_four_workers_share_a_database_and_one_is_killed(
    quick: Recipe, postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_storage, "HEARTBEAT_SECONDS", _HEARTBEAT)
    four_workers_of_which_one_is_killed(quick, postgresql, tmp_path / "runs")
    assert_complete(quick, postgresql, tmp_path / "runs")
    with open_study(quick, GRID, StudySettings("together"), postgresql) as opened:
        deadline = time.monotonic() + _SECONDS
        while opened.get_trials(states=(TrialState.RUNNING,)):
            assert time.monotonic() < deadline, "the lost one is not noticed"
            time.sleep(0.5)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                optuna.storages.fail_stale_trials(opened)


def test_a_database_that_does_not_answer_is_one_line() -> None:
    with pytest.raises(StorageError, match=r"postgresql://127\.0\.0\.1:1/none cannot be used: "):
        open_study(
            find_recipe("simple_cnn-mnist_5k"),
            GRID,
            StudySettings("x"),
            "postgresql://user:secret@127.0.0.1:1/none",
        ).__enter__()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///x.db",
        "journal:",
        "mysql://user:secret@host/x",
        "mysql:user:secret@host/x",
        "redis://host?password=secret",
        "study.journal",
    ],
)
def test_other_storages_are_refused_without_showing_a_password(url: str) -> None:
    with pytest.raises(UsageError, match="expected journal:PATH") as raised:
        open_storage(url)
    assert "secret" not in str(raised.value)
