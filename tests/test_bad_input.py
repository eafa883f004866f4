"""Every mistake a user can make gives one clear line, a non-zero exit, and leaves no half-written file."""

import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Completed, run_command

Cli = Callable[..., Completed]


@pytest.fixture
def mnist_files(tmp_path: Path) -> Path:
    """A data folder with a tiny but complete MNIST in IDX files."""
    raw = tmp_path / "data" / "mnist" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for split in ("train", "t10k"):
        images = np.zeros((20, 28, 28), dtype=np.uint8)
        labels = np.arange(20, dtype=np.uint8) % 10
        _write_idx(raw / f"{split}-images-idx3-ubyte.gz", images)
        _write_idx(raw / f"{split}-labels-idx1-ubyte.gz", labels)
    return tmp_path / "data"


def _write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
    path.write_bytes(gzip.compress(header + array.tobytes()))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "simple_cnn-mnist5k"], "did you mean 'simple_cnn-mnist_5k'"),
        (["train", "--architecture", "simple_cn", "--dataset", "mnist"], "did you mean 'simple_cnn'"),
        (["train", "--architecture", "simple_cnn", "--dataset", "mnist5k"], "did you mean 'mnist-5k'"),
        (["train", "zzz"], "vision-zoo list recipes"),
        (["train"], "takes a recipe, or --architecture and --dataset"),
        (["train", "--architecture", "simple_cnn"], "takes a recipe, or --architecture and --dataset"),
        (["train", "simple_cnn-mnist_5k", "--epochs", "0"], "epochs 0 is out of range"),
        (["train", "simple_cnn-mnist_5k", "--epochs", "three"], "--epochs"),
        (["train", "simple_cnn-mnist_5k", "--lr", "-1"], "learning rate -1.0 is out of range"),
        (["train", "simple_cnn-mnist_5k", "--lr", "nan"], "learning rate nan is out of range"),
        (["train", "simple_cnn-mnist_5k", "--seed", "-1"], "seed -1 is out of range"),
        (["train", "simple_cnn-mnist_5k", "--device", "tpu"], "expected auto, cpu or cuda"),
        (["train", "--resume", "nowhere"], "is no run directory"),
        (["train", "--resume", "nowhere", "--lr", "0.1", "simple_cnn-mnist"], "leave out the recipe, --lr"),
        (["train", "simple_cnn-mnist", "--data-dir", "nowhere"], "data folder nowhere does not exist"),
        (["list", "recipe"], "did you mean 'recipes'"),
        (["tain"], "Did you mean 'train'"),
        (["export", "nowhere", "--onnx"], "is no run directory"),
        (["export", "nowhere"], "pass --onnx"),
        (["evaluate", "nowhere.onnx", "--dataset", "mnist-5k"], "does not exist"),
        (["evaluate", "nowhere", "--dataset", "mnist-6k"], "did you mean 'mnist-5k'"),
        (["bench", "--batch-sizes", "1,x"], "no list of whole numbers"),
        (["bench", "--batch-sizes", "0"], "batch size 0 is out of range"),
        (["bench", "--format", "xml"], "expected one of table, json, csv, md, html"),
        (["bench", "--scenario", "multi-stream"], "expected one of single-stream, offline, server"),
        (["bench", "--provider", "cpu,tpu"], "expected one of auto, cpu, cuda, tensorrt"),
        (["bench", "--precision", "int4"], "expected one of fp32, fp16, int8"),
        (["bench", "--rate", "0"], "rate 0.0 is out of range"),
        (["export", "nowhere", "--onnx", "--precision", "int4"], "expected fp32, fp16, int8"),
        (["export", "nowhere", "--triton", "models"], "model 'nowhere'"),
        (["info", "nowhere.onnx"], "does not exist"),
        (["doctor", "--no-such-option"], "no such option"),
        (["bench", "--against", "tensorflow"], "unknown engine 'tensorflow'"),
        (["predict", "x"], "IMAGE"),
        (["list", "models", "--models-dir", "nowhere"], "models folder nowhere does not exist"),
        (["--no-such-option"], "no such option"),
        (["bench", "--duration", "inf"], "duration inf is out of range"),
        (["bench", "--threads", "99999999999"], "threads 99999999999 is out of range"),
        (["predict", "", "x.png"], "the name of the model is empty"),
        (["predict", "a" * 300, "x.png"], "name too long"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_arguments(cli: Cli, arguments: list[str], says: str) -> None:
    done = cli(*arguments)
    assert says.lower() in done.error.lower()
    assert done.stdout == ""


def test_an_unknown_model_names_near_misses(cli: Cli, exported_model: Path, digit_png: Path) -> None:
    done = cli("predict", "simple_cnn-mnist5k", digit_png, "--models-dir", exported_model.parent)
    assert "did you mean 'simple_cnn-mnist_5k'" in done.error


def test_a_data_folder_without_the_dataset(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    done = cli("train", "simple_cnn-mnist", "--data-dir", "data")
    assert "no mnist under data; expected data/mnist/MNIST/raw" in done.error
    assert not (tmp_path / "runs").exists()


def test_a_data_folder_without_the_split(cli: Cli, mnist_files: Path) -> None:
    (mnist_files / "mnist" / "MNIST" / "raw" / "t10k-images-idx3-ubyte.gz").unlink()
    done = cli("train", "simple_cnn-mnist", "--data-dir", mnist_files)
    assert "t10k-images-idx3-ubyte is missing" in done.error


def test_truncated_data_files(cli: Cli, mnist_files: Path) -> None:
    file = mnist_files / "mnist" / "MNIST" / "raw" / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-20])
    assert "damaged or truncated" in cli("train", "simple_cnn-mnist", "--data-dir", mnist_files).error


def test_data_files_shorter_than_their_header_says(cli: Cli, mnist_files: Path) -> None:
    file = mnist_files / "mnist" / "MNIST" / "raw" / "train-images-idx3-ubyte.gz"
    file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes())[:-100]))
    assert "by its header" in cli("train", "simple_cnn-mnist", "--data-dir", mnist_files).error


def test_data_that_cannot_be_downloaded_says_where_it_looked(cli: Cli, tmp_path: Path) -> None:
    offline = {"VISION_ZOO_DATA": "", "https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    done = cli("evaluate", "m", "--dataset", "mnist", env=offline)
    assert "no model 'm'" in done.error or "unknown model" in done.error
    done = cli("train", "simple_cnn-mnist", env=offline)
    assert "could not be downloaded" in done.error
    assert "pass --data-dir" in done.error


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"this is a text", "is not an image that can be read"),
        (b"", "is not an image that can be read"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image"),
    ],
    ids=["text", "empty", "truncated"],
)
def test_an_image_that_is_none(
    cli: Cli, exported_model: Path, tmp_path: Path, content: bytes, says: str
) -> None:
    (tmp_path / "image.png").write_bytes(content)
    assert says in cli("predict", exported_model, "image.png").error


def test_a_folder_where_an_image_is_expected(cli: Cli, exported_model: Path, tmp_path: Path) -> None:
    assert "expected an image file" in cli("predict", exported_model, tmp_path).error


def test_an_empty_model_file(cli: Cli, tmp_path: Path, digit_png: Path) -> None:
    (tmp_path / "model.onnx").touch()
    assert "model.onnx is empty" in cli("predict", "model.onnx", digit_png).error


@pytest.mark.parametrize("part", [0.3, 0.9])
def test_a_damaged_model_file(
    cli: Cli, tmp_path: Path, digit_png: Path, exported_model: Path, part: float
) -> None:
    content = exported_model.read_bytes()
    (tmp_path / "model.onnx").write_bytes(content[: int(len(content) * part)])
    assert "model.onnx is not an ONNX file" in cli("predict", "model.onnx", digit_png).error


def test_a_model_that_was_changed(cli: Cli, tmp_path: Path, digit_png: Path, exported_model: Path) -> None:
    folder = shutil.copytree(exported_model.parent, tmp_path / "exported")
    content = bytearray(exported_model.read_bytes())
    content[len(content) // 2] ^= 0xFF
    (folder / exported_model.name).write_bytes(content)
    assert "does not match its checksum" in cli("predict", exported_model.stem, digit_png).error


def test_a_model_without_metadata(cli: Cli, tmp_path: Path, digit_png: Path, exported_model: Path) -> None:
    import onnx

    model = onnx.load(exported_model)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    assert "has no vision-zoo metadata" in cli("predict", "foreign.onnx", digit_png).error


def test_a_dataset_with_other_labels(cli: Cli, exported_model: Path, data_dir: Path) -> None:
    done = cli("evaluate", exported_model, "--dataset", "fashion-mnist", "--data-dir", data_dir)
    assert "expected a dataset with the model's labels" in done.error


def test_cuda_without_cuda(cli: Cli, exported_model: Path, digit_png: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    assert "--device cuda cannot be used" in cli("train", "simple_cnn-mnist_5k", "--device", "cuda").error
    done = cli("predict", exported_model, digit_png, "--provider", "cuda")
    assert "--provider cuda cannot be used" in done.error


def test_a_run_that_exists_is_not_overwritten(cli: Cli, finished_run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished_run.rglob("*")}
    assert "already holds a finished run" in cli("train", "simple_cnn-mnist_5k", "--out", finished_run).error
    assert before == {path: path.stat().st_mtime_ns for path in finished_run.rglob("*")}


def test_an_unfinished_run_is_not_exported(cli: Cli, finished_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    (run / "metrics.json").unlink()
    assert "is not finished" in cli("export", "run", "--onnx").error
    assert not (tmp_path / "exported").exists()


def test_a_damaged_checkpoint(cli: Cli, finished_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    (run / "metrics.json").unlink()
    last = run / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[:1000])
    assert "last.pt is damaged" in cli("train", "--resume", "run").error
    best = run / "checkpoints" / "best.safetensors"
    best.write_bytes(b"\0" * 100)
    shutil.copy(finished_run / "metrics.json", run)
    assert "best.safetensors is damaged" in cli("export", "run", "--onnx").error


@pytest.mark.skipif(sys.platform == "win32", reason="needs a folder without write permission")
@pytest.mark.parametrize("command", [["train", "simple_cnn-mnist_5k", "--out"], ["quickstart", "--out"]])
def test_an_unwritable_folder(cli: Cli, command: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()  # root ignores permissions; nobody can make a folder inside a file
    assert "cannot write" in cli(*command, "file/run").error


def test_export_into_an_unwritable_folder(cli: Cli, finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot write" in cli("export", finished_run, "--onnx", "--output-dir", "file/models").error


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_disk_that_fills_up_leaves_no_half_written_file(finished_run: Path, tmp_path: Path) -> None:
    # A limit on the size of files stops a write half-way, as a full disk does.
    code = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n"
        f"sys.argv = ['vision-zoo', 'export', {str(finished_run)!r}, '--onnx', '--output-dir', 'models']\n"
        "from vision_zoo.cli import main\nmain()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ.copy(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (
        "cannot write models/simple_cnn-mnist_5k.onnx"
        in Completed(done.returncode, done.stdout, done.stderr).error
    )
    assert not [path for path in (tmp_path / "models").iterdir() if path.name != ".manifest.lock"]


def test_quickstart_does_not_touch_a_folder_that_is_not_its_own(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    assert "something else than an earlier quickstart" in cli("quickstart", "--out", "mine").error
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"


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


def test_several_bad_images_are_one_line_that_names_them(
    cli: Cli, exported_model: Path, tmp_path: Path
) -> None:
    from PIL import Image

    Image.new("L", (28, 28), 255).save(tmp_path / "blank.png")
    (tmp_path / "text.png").write_text("text")
    error = cli("predict", exported_model, "blank.png", "text.png", "missing.png").error
    assert all(name in error for name in ("blank.png", "text.png", "missing.png", "3 of 3 images"))


@pytest.mark.skipif(sys.platform == "win32", reason="needs named pipes")
def test_a_pipe_is_no_image_and_is_not_waited_for(cli: Cli, exported_model: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert "pipe.png is not a file" in cli("predict", exported_model, "pipe.png").error


def test_quickstart_does_not_delete_what_it_did_not_write(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine" / "exported").mkdir(parents=True)
    (tmp_path / "mine" / "quickstart.json").write_text("{}")
    (tmp_path / "mine" / "exported" / "precious.onnx").write_text("precious")
    assert "something else than an earlier quickstart" in cli("quickstart", "--out", "mine").error
    assert (tmp_path / "mine" / "exported" / "precious.onnx").read_text() == "precious"


def test_a_recipe_name_cannot_leave_the_output_folder(cli: Cli, finished_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    recipe = (run / "recipe.json").read_text()
    (run / "recipe.json").write_text(recipe.replace('"simple_cnn-mnist_5k"', '"../evil"'))
    assert "it becomes a file name" in cli("export", "run", "--onnx", "--output-dir", "models").error
    assert not (tmp_path / "evil.onnx").exists()


def test_reproduce_refuses_a_run_with_other_settings(cli: Cli, finished_run: Path, tmp_path: Path) -> None:
    shutil.copytree(finished_run, tmp_path / "runs" / "simple_cnn-mnist_5k")
    assert "holds a run with other settings" in cli("reproduce", "simple_cnn-mnist_5k").error
    assert not (tmp_path / "results").exists()


def test_predicting_leaves_nothing_in_the_users_cache(
    exported_model: Path, digit_png: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    env = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    done = run_command("predict", exported_model, digit_png, cwd=tmp_path, env=env)
    assert done.code == 0
    assert done.stderr == ""
    assert not list(home.rglob("*"))
