"""Folders and streams that cannot be written: nothing is lost or half-written."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Completed, run_command

Cli = Callable[..., Completed]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a folder without write permission")
@pytest.mark.parametrize("command", [["train", "simple_cnn-mnist_5k", "--out"], ["quickstart", "--out"]])
def test_an_unwritable_folder(cli: Cli, command: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()  # root ignores permissions; nobody can make a folder inside a file
    assert "cannot write" in cli(*command, "file/run").error


def test_export_into_an_unwritable_folder(cli: Cli, finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot write" in cli("export", finished_run, "--onnx", "--output-dir", "file/models").error


def _fill_the_disk() -> None:
    """A limit on the size of files stops a write half-way, as a full disk does."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_disk_that_fills_up_leaves_no_half_written_file(
    cli: Cli, finished_run: Path, tmp_path: Path
) -> None:
    done = cli("export", finished_run, "--onnx", "--output-dir", "models", prepare=_fill_the_disk)
    assert "cannot write models/simple_cnn-mnist_5k.onnx" in done.error
    assert not [path for path in (tmp_path / "models").iterdir() if path.name != ".manifest.lock"]


def test_quickstart_does_not_touch_a_folder_that_is_not_its_own(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    assert "something other than an earlier quickstart" in cli("quickstart", "--out", "mine").error
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"


def test_quickstart_does_not_delete_what_it_did_not_write(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine" / "exported").mkdir(parents=True)
    (tmp_path / "mine" / "quickstart.json").write_text("{}")
    (tmp_path / "mine" / "exported" / "precious.onnx").write_text("precious")
    assert "something other than an earlier quickstart" in cli("quickstart", "--out", "mine").error
    assert (tmp_path / "mine" / "exported" / "precious.onnx").read_text() == "precious"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("arguments", ["list recipes", "list recipes --json", "--help"])
def test_a_result_that_cannot_be_written(tmp_path: Path, arguments: str) -> None:
    command = f"{sys.executable} -m vision_zoo {arguments} > /dev/full"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "cannot write the result" in Completed(done.returncode, done.stdout, done.stderr).error


def test_a_closed_stdout(tmp_path: Path) -> None:
    command = f"{sys.executable} -m vision_zoo list recipes >&-"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


def test_a_terminal_that_lacks_characters_gets_question_marks(tmp_path: Path) -> None:
    done = run_command("list", "recipes", cwd=tmp_path, env={"PYTHONIOENCODING": "ascii"})
    assert done.code == 0
    assert "simple_cnn-mnist" in done.stdout


def test_predicting_leaves_nothing_in_the_users_cache(
    exported_model: Path, digit_png: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    env = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    done = run_command("predict", exported_model, digit_png, cwd=tmp_path, env=env)
    assert done.code == 0
    assert done.stderr == f"using {exported_model} (verified)\n"
    assert not list(home.rglob("*"))
