"""Files and folders that may not be read: named in one line, left out where pictures are."""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Completed
from tests.images.pictures import striped_picture
from tests.privileges import obey_permissions

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="takes the privileges of root away as Linux has them"
)


@pytest.fixture
def command(cli: Callable[..., Completed]) -> Callable[..., Completed]:
    """`vision-zoo` as a user to whom permissions apply."""

    def run(*arguments: str | Path, **env: str) -> Completed:
        done = cli(*arguments, env=env, prepare=obey_permissions)
        if done.code == 99:
            pytest.skip("privileges cannot be given up here")
        return done

    return run


@pytest.fixture
def closed() -> Iterator[Callable[[Path], Path]]:
    """Take all permissions from a path until the test ends."""
    taken: list[tuple[Path, int]] = []

    def take(path: Path) -> Path:
        taken.append((path, path.stat().st_mode))
        path.chmod(0)
        return path

    yield take
    for path, mode in reversed(taken):
        path.chmod(mode)


Command = Callable[..., Completed]
Closed = Callable[[Path], Path]


def test_a_picture_is_left_out_and_named(command: Command, closed: Closed, tmp_path: Path) -> None:
    for label, name in enumerate(("cat", "dog")):
        for number in range(6):
            striped_picture(tmp_path / "pets" / name / f"{number}.png", label, 100 * label + number)
    train = ["train", "--architecture", "small_cnn", "--dataset", "folder:pets", "--image-size", "16"]
    whole = command(*train, "--epochs", "1", "--out", "whole")
    assert whole.code == 0, whole.stderr
    closed(tmp_path / "pets" / "cat" / "3.png")
    done = command(*train, "--epochs", "1", "--out", "run")
    assert done.code == 0, done.stderr
    assert "skipped 1 unreadable image: cat/3.png" in done.stderr
    exported = command("export", "run", "--onnx", "--output-dir", "models")
    assert exported.code == 0, exported.stderr
    refused = command("export", "whole", "--onnx", "--output-dir", "other")
    assert "1 file not readable (cat/3.png)" in refused.error
    closed(tmp_path / "pets" / "dog")
    assert "pets/dog cannot be read: Permission denied" in command(*train, "--out", "never").error
    assert not (tmp_path / "other").exists()
    assert not (tmp_path / "never").exists()


def test_files_of_a_run_and_of_a_model(
    command: Command,
    closed: Closed,
    finished_run: Path,
    exported_model: Path,
    digit_png: Path,
    tmp_path: Path,
) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    models = shutil.copytree(exported_model.parent, tmp_path / "models")
    (tmp_path / "pictures").mkdir()
    shutil.copy(digit_png, tmp_path / "pictures")
    closed(run / "checkpoints" / "best.safetensors")
    refused = command("export", "run", "--onnx", "--output-dir", "other").error
    assert "best.safetensors cannot be read: Permission denied; check its permissions" in refused
    closed(tmp_path / "pictures")
    done = command("predict", exported_model, f"pictures/{digit_png.name}", digit_png)
    assert f"cannot read pictures/{digit_png.name}: Permission denied" in done.stderr
    assert done.error == "1 of 2 images could not be used"
    assert str(digit_png) in done.stdout
    closed(models / "manifest.json")
    refused = command("predict", f"models/{exported_model.name}", digit_png).error
    assert "manifest.json cannot be read: Permission denied" in refused
    assert not (tmp_path / "other").exists()


def test_a_data_folder_and_a_cache(command: Command, closed: Closed, tmp_path: Path) -> None:
    for folder in (tmp_path / "data" / "mnist", tmp_path / "cache"):
        folder.mkdir(parents=True)
        closed(folder)
    refused = command("train", "simple_cnn-mnist", "--data-dir", "data", "--out", "run").error
    assert "data/mnist cannot be read: Permission denied" in refused
    assert not (tmp_path / "run").exists()
    done = command("train", "simple_cnn-mnist_5k", "--max-steps", "1", "--out", "run", XDG_CACHE_HOME="cache")
    assert done.code == 0, done.stderr


def test_a_folder_for_results(command: Command, finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir(mode=0o555)
    for arguments in (
        ("train", "simple_cnn-mnist_5k", "--out", "there/run"),
        ("export", finished_run, "--onnx", "--output-dir", "there"),
        ("export", finished_run, "--triton", "there"),
        ("compare", "--dataset", "mnist-5k", "--architectures", "small_cnn", "--out", "there/comparison"),
    ):
        assert "cannot write there" in command(*arguments).error
    assert not list((tmp_path / "there").iterdir())
