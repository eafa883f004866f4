"""Searches that workers share: nothing is lost with a worker, nothing is trained twice."""

import os
import shutil
import signal
import socket
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from optuna.trial import TrialState

from tests.conftest import Completed
from tests.warm import CONTEXT
from vision_zoo.errors import Interrupted, StorageError, UsageError
from vision_zoo.progress import SilentProgress
from vision_zoo.shared_search import Place, search
from vision_zoo.training import study, study_storage, train
from vision_zoo.training.recipe import Recipe
from vision_zoo.training.recipes import find_recipe
from vision_zoo.training.run_directory import RunDirectory
from vision_zoo.training.search_space import Range, Space, folder_name, parse_ranges
from vision_zoo.training.study import StudySettings, open_study
from vision_zoo.training.study_storage import open_storage

QUICK = find_recipe("simple_cnn-mnist_5k").override(architecture="small_cnn", epochs=2)
GRID: Space = {"batch_size": [128, 256, 512], "learning_rate": [0.001, 0.01]}
_SECONDS = 180


def _worker(recipe: str, storage: str, out: Path, data_dir: Path | None) -> None:
    """In a process of its own; lost workers are noticed soon."""
    study_storage.HEARTBEAT_SECONDS = 1
    torch.set_num_threads(1)
    study.work(
        Recipe.from_json(recipe, name="recipe"),
        GRID,
        StudySettings("together"),
        storage=storage,
        out=out,
        device="cpu",
        data_dir=data_dir,
        progress=SilentProgress(),
    )


def _four_workers_of_which_one_is_killed(storage: str, out: Path) -> None:
    workers = [CONTEXT.Process(target=_worker, args=(QUICK.to_json(), storage, out, None)) for _ in range(4)]
    try:
        for worker in workers:
            worker.start()
        deadline = time.monotonic() + _SECONDS
        while not list(out.glob("*/checkpoints/last.pt")):  # somebody has trained an epoch
            assert time.monotonic() < deadline
            time.sleep(0.01)
        workers[0].kill()
        for worker in workers:
            worker.join(_SECONDS)
    finally:
        for worker in workers:
            worker.kill()
    assert workers[0].exitcode != 0
    assert [worker.exitcode for worker in workers[1:]] == [0, 0, 0]


def _assert_complete(storage: str, out: Path) -> None:
    with open_study(QUICK, GRID, StudySettings("together"), storage) as opened:
        complete = opened.get_trials(states=(TrialState.COMPLETE,))
    names = {folder_name(trial.params) for trial in complete}
    assert len(names) == 6
    for name in names:
        run = RunDirectory.open(out / name)
        assert run.finished
        assert [record["epoch"] for record in run.history()] == [1, 2]  # gone on with, not begun again
    assert len({trial.value for trial in complete}) > 1


@pytest.mark.slow
def test_four_workers_share_a_journal_and_one_is_killed(tmp_path: Path) -> None:
    storage = f"journal:{tmp_path / 'study.journal'}"
    _four_workers_of_which_one_is_killed(storage, tmp_path / "runs")
    _assert_complete(storage, tmp_path / "runs")


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
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)
    data = folder / "data"
    data.mkdir()
    if user:
        shutil.chown(data, user)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
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

    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(f"host=127.0.0.1 port={port} user=zoo dbname=postgres").close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return


@pytest.mark.slow
def test_four_workers_share_a_database_and_one_is_killed(
    postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_storage, "HEARTBEAT_SECONDS", 1)
    _four_workers_of_which_one_is_killed(postgresql, tmp_path / "runs")
    _assert_complete(postgresql, tmp_path / "runs")
    with open_study(QUICK, GRID, StudySettings("together"), postgresql) as opened:
        deadline = time.monotonic() + 60
        while opened.get_trials(states=(TrialState.RUNNING,)):
            assert time.monotonic() < deadline, "the lost one is not noticed"
            time.sleep(0.5)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                optuna.storages.fail_stale_trials(opened)


def test_a_database_that_does_not_answer_is_one_line() -> None:
    with pytest.raises(StorageError, match=r"postgresql://127\.0\.0\.1:1/none cannot be used: "):
        open_study(QUICK, GRID, StudySettings("x"), "postgresql://user:secret@127.0.0.1:1/none").__enter__()


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


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sampler": "random"}, "expected grid or tpe"),
        ({"pruner": "hyperband"}, "expected none or median"),
        ({"sampler": "tpe"}, "after how many --trials"),
        ({"trials": 0}, "trials 0 is out of range"),
    ],
)
def test_settings_are_checked(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        StudySettings("x", **options)


def test_ranges_are_read_from_the_command_line() -> None:
    assert parse_ranges(["lr=0.0001:0.1:log", "batch_size=32:256"]) == {
        "learning_rate": Range(0.0001, 0.1, log=True),
        "batch_size": Range(32, 256),
    }


@pytest.mark.parametrize(
    "option", ["lr", "lr=1", "lr=2:1", "lr=0:1:log", "lr=0.1:x", "speed=1:2", "lr=1:2:3"]
)
def test_a_range_that_cannot_be_used_is_refused(option: str) -> None:
    with pytest.raises(UsageError, match="--range"):
        parse_ranges([option])


def test_a_grid_has_no_ranges(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="take --sampler tpe"):
        open_study(
            QUICK, {"learning_rate": Range(0.1, 1)}, StudySettings("x"), f"journal:{tmp_path / 'j'}"
        ).__enter__()


@pytest.mark.slow
def test_tpe_searches_ranges_prunes_by_epoch_and_stops(cli: Callable[..., Completed]) -> None:
    arguments = [
        "tune",
        "simple_cnn-mnist_5k",
        "--sampler",
        "tpe",
        "--trials",
        "4",
        "--pruner",
        "median",
        "--epochs",
        "2",
    ]
    arguments += ["--range", "lr=0.0005:0.05:log", "--grid", "batch_size=512", "--device", "cpu", "--json"]
    found = cli(*arguments).json
    assert len(found["trials"]) == 4
    states = [trial["state"] for trial in found["trials"]]
    assert set(states) <= {"complete", "pruned", "diverged"}
    assert 0.0005 <= found["chosen"]["learning_rate"] <= 0.05
    best = max(trial["validation_accuracy"] or 0 for trial in found["trials"])
    assert best > 0.5
    again = cli(*arguments).json  # it has ended: nothing is trained
    assert again["trials"] == found["trials"]


def test_a_pruned_point_is_ended_and_says_so(tmp_path: Path) -> None:
    place = Place(f"journal:{tmp_path / 'j'}", tmp_path, "cpu", None)
    space: Space = {"learning_rate": [0.003, 1e-7]}
    settings = StudySettings("x", pruner="median")
    recipe = QUICK.override(batch_size=512)
    with open_study(recipe, space, settings, place.storage) as opened:
        for value in (0.3, 0.31, 0.32, 0.33, 0.34):  # what five others reached
            trial = optuna.trial.create_trial(
                values=[value], intermediate_values={1: value, 2: value}, state=TrialState.COMPLETE
            )
            opened.add_trial(trial)
    document = search(recipe, space, settings, place, jobs=1, progress=SilentProgress())
    states = {trial["learning_rate"]: trial["state"] for trial in document["trials"]}
    assert states[1e-7] == "pruned"
    assert document["chosen"] == {"learning_rate": 0.003}


def test_workers_are_started_and_stopped_together(cli: Callable[..., Completed], tmp_path: Path) -> None:
    arguments = ["tune", "simple_cnn-mnist_5k", "--grid", "lr=0.001,0.01", "--epochs", "1", "--device", "cpu"]
    shown = cli(*arguments, "--storage", f"journal:{tmp_path / 'j'}", "--jobs", "2")
    assert shown.code == 0, shown.stderr
    assert "chosen on validation: learning rate" in shown.stdout
    lines = [line for line in shown.stderr.splitlines() if "of the validation images right" in line]
    assert len(set(lines)) == 2  # a worker with nothing left to do waits for the other's point and repeats it


@pytest.mark.parametrize("option", [["--sampler", "x"], ["--storage", "sqlite:///x"], ["--sampler", "tpe"]])
def test_wrong_options_are_one_line(cli: Callable[..., Completed], option: list[str]) -> None:
    assert cli("tune", "simple_cnn-mnist_5k", "--grid", "lr=0.1,0.2", *option).error


class _InterruptAt(SilentProgress):
    """Presses Ctrl-C at a line."""

    def __init__(self, line: int) -> None:
        self.left = line

    def line(self, _text: str) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("moment", ["within the second point", "after the first point"])
def test_an_interrupted_search_finishes_every_point_when_it_is_called_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    recipe, space = QUICK.override(batch_size=512, epochs=1), {"learning_rate": [0.001, 0.01]}
    place = Place(f"journal:{tmp_path / 'j'}", tmp_path, "cpu", None)
    trained = train.start

    def interrupted(point: Recipe, *arguments: Any, **options: Any) -> Any:
        if list(tmp_path.glob("*/metrics.json")) and moment == "within the second point":
            raise Interrupted("Ctrl-C")
        return trained(point, *arguments, **options)

    monkeypatch.setattr(train, "start", interrupted)
    progress = _InterruptAt(1) if moment == "after the first point" else SilentProgress()
    with pytest.raises(Interrupted, match="1 points are finished"):
        search(recipe, space, StudySettings("x"), place, jobs=1, progress=progress)
    monkeypatch.undo()
    document = search(recipe, space, StudySettings("x"), place, jobs=1, progress=SilentProgress())
    assert {trial["learning_rate"]: trial["state"] for trial in document["trials"]} == {
        0.001: "complete",
        0.01: "complete",
    }


def test_a_point_that_diverges_is_no_end(tmp_path: Path) -> None:
    recipe, space = QUICK.override(batch_size=512, epochs=1), {"learning_rate": [0.001, 1e30]}
    place = Place(f"journal:{tmp_path / 'j'}", tmp_path, "cpu", None)
    document = search(recipe, space, StudySettings("x"), place, jobs=1, progress=SilentProgress())
    assert {trial["state"] for trial in document["trials"]} == {"complete", "diverged"}
    assert document["chosen"] == {"learning_rate": 0.001}


def test_a_study_of_that_name_that_searches_something_else_is_refused(tmp_path: Path) -> None:
    storage = f"journal:{tmp_path / 'j'}"
    with open_study(QUICK, GRID, StudySettings("x"), storage):
        pass
    with open_study(QUICK, GRID, StudySettings("x"), storage):
        pass
    for recipe, space in ((QUICK.override(epochs=9), GRID), (QUICK, {**GRID, "batch_size": [1]})):
        with pytest.raises(UsageError, match="give this search a name of its own"):
            open_study(recipe, space, StudySettings("x"), storage).__enter__()
