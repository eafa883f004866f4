"""Arguments that are wrong: one line that says what is expected."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Completed

Cli = Callable[..., Completed]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "simple_cnn-mnist5k"], "did you mean 'simple_cnn-mnist_5k'"),
        (["train", "--architecture", "simple_cn", "--dataset", "mnist"], "did you mean 'simple_cnn'"),
        (["train", "--architecture", "simple_cnn", "--dataset", "mnist5k"], "did you mean 'mnist-5k'"),
        (["train", "--dataset", "/my/pets"], "--dataset folder:/my/pets"),
        (["train", "--architecture", "simple_cnn", "--dataset", "~/my pets"], "--dataset 'folder:~/my pets'"),
        (["train", "--architecture", "simple_cnn", "--dataset", "Folder:pets"], "--dataset folder:pets"),
        (["train", "--architecture", "simple_cnn", "--dataset", "folder:"], "'folder:' names no folder"),
        (["compare", "--dataset", "./pets"], "--dataset folder:./pets"),
        (["compare", "--dataset", "folder:"], "'folder:' names no folder"),
        (["evaluate", "nowhere", "--dataset", "my/pets"], "--dataset folder:my/pets"),
        (["evaluate", "nowhere", "--dataset", "folder: "], "'folder: ' names no folder"),
        (["evaluate", "nowhere", "--dataset", "folder:~nobody-of-that-name/x"], "names no folder"),
        (["compare", "--dataset", ""], "unknown dataset ''"),
        (["compare"], "compare takes either FOLDER or --dataset NAME"),
        (["compare", "pets", "--dataset", "mnist"], "compare takes either FOLDER or --dataset NAME"),
        (["compare", "pets"], "pets does not exist; expected a folder"),
        (["train", "simple_cnn-mnist_5k", "--out", ""], "--out is empty; expected a path"),
        (["train", "simple_cnn-mnist_5k", "--data-dir="], "--data-dir is empty; expected a path"),
        (["export", ""], "the name of a run is empty; expected a run directory"),
        (["export", "nowhere", "--onnx", "--output-dir", ""], "--output-dir is empty; expected a path"),
        (
            ["serve", "a.onnx"],
            "pass the folder of the models with --models-dir (see vision-zoo serve --help)",
        ),
        (["demo", "models"], "pass the folder of the models with --models-dir (see vision-zoo demo --help)"),
        (["site", "a", "b"], "got unexpected extra argument(s) (b) (see vision-zoo site --help)"),
        (["train", "zzz"], "vision-zoo list recipes"),
        (["train"], "needs a recipe, or both --architecture and --dataset"),
        (["train", "--architecture", "simple_cnn"], "needs a recipe, or both --architecture and --dataset"),
        (["train", "simple_cnn-mnist_5k", "--epochs", "0"], "epochs 0 is out of range"),
        (["train", "simple_cnn-mnist_5k", "--epochs", "three"], "--epochs"),
        (["train", "simple_cnn-mnist_5k", "--lr", "-1"], "learning rate -1.0 is out of range"),
        (["train", "simple_cnn-mnist_5k", "--lr", "nan"], "learning rate nan is out of range"),
        (["train", "simple_cnn-mnist_5k", "--seed", "-1"], "seed -1 is out of range"),
        (["train", "simple_cnn-mnist_5k", "--device", "tpu"], "is not one of 'auto', 'cpu', 'cuda'"),
        (["train", "--resume", "nowhere"], "is not a run directory"),
        (["train", "--resume", "nowhere", "--lr", "0.1", "simple_cnn-mnist"], "omit the recipe, --lr"),
        (["train", "simple_cnn-mnist", "--data-dir", "nowhere"], "data folder nowhere does not exist"),
        (["train", "simple_cnn-mnist_5k", "--optimizer", "adm"], "not one of 'adam', 'adamw', 'sgd'"),
        (["train", "simple_cnn-mnist_5k", "--precision", "int8"], "not one of 'fp32', 'tf32', 'bf16'"),
        (["tune", "small_cnn-mnist", "--sampler", "random"], "not one of 'grid', 'tpe'"),
        (["tune", "small_cnn-mnist", "--pruner", "hyperband"], "not one of 'none', 'median'"),
        (["predict", "x", "x.png", "--provider", "tpu"], "not one of 'auto', 'cpu', 'cuda', 'tensorrt'"),
        (["list", "recipe"], "'recipe' is not one of 'recipes'"),
        (["tain"], "Did you mean 'train'"),
        (["export", "nowhere", "--onnx"], "is not a run directory"),
        (["export", "nowhere"], "is not a run directory"),
        (["evaluate", "nowhere.onnx", "--dataset", "mnist-5k"], "does not exist"),
        (["evaluate", "nowhere", "--dataset", "mnist-6k"], "did you mean 'mnist-5k'"),
        (["bench", "--batch-sizes", "1,x"], "is not a list of integers"),
        (["bench", "--batch-sizes", "0"], "batch size 0 is out of range"),
        (["bench", "--format", "xml"], "'xml' is not one of 'table', 'json', 'csv', 'md', 'html'"),
        (["bench", "--scenario", "multi-stream"], "expected one of single-stream, offline, server"),
        (["bench", "--provider", "cpu,tpu"], "expected one of auto, cpu, cuda, tensorrt"),
        (["bench", "--precision", "int4"], "expected one of fp32, fp16, int8"),
        (["bench", "--rate", "0"], "rate 0.0 is out of range"),
        (["export", "nowhere", "--onnx", "--precision", "int4"], "not one of 'fp32', 'fp16', 'int8'"),
        (["export", "nowhere", "--onnx", "--weights", "int4"], "not one of 'fp32', 'fp16', 'int8'"),
        (["export", "nowhere", "--triton", "models"], "model 'nowhere'"),
        (["export", "nowhere", "--html", "page.html"], "model 'nowhere'"),
        (
            ["export", "a", "b"],
            "export takes one RUN, not 2; only --html FILE and --space DIR take several models",
        ),
        (["export", "a", "--html", "page.html", "--space", "space"], "--html and --space are two exports"),
        (["export", "a", "--html", "page.html", "--onnx"], "--html takes exported models unchanged"),
        (["export", "a", "--runtime", "folder"], "--runtime is for --html FILE"),
        (
            ["export", "small_cnn-mnist", "--html", "page.html", "--runtime", "no"],
            "--runtime no does not exist",
        ),
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


def test_cuda_without_cuda(cli: Cli, exported_model: Path, digit_png: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    assert "--device cuda cannot be used" in cli("train", "simple_cnn-mnist_5k", "--device", "cuda").error
    done = cli("predict", exported_model, digit_png, "--provider", "cuda")
    assert "--provider cuda cannot be used" in done.error


@pytest.mark.parametrize(
    ("command", "choices"),
    [
        ("train", ("adam|adamw|sgd", "fp32|tf32|bf16", "auto|cpu|cuda")),
        ("tune", ("grid|tpe", "none|median")),
        ("export", ("fp32|fp16|int8",)),
        ("bench", ("table|json|csv|md|html",)),
        ("serve", ("auto|cpu|cuda|tensorrt",)),
    ],
)
def test_help_shows_the_choices(cli: Cli, command: str, choices: tuple[str, ...]) -> None:
    shown = cli(command, "--help").stdout
    for choice in choices:
        assert choice in shown
