"""`import vision_zoo as vz`: what the commands do, from Python."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vision_zoo as vz
from tests.conftest import Completed
from tests.experiments.compare.clock import compare_by_looks
from vision_zoo.core.errors import (
    BlankImageError,
    DeviceError,
    ImageError,
    ModelError,
    RunError,
    UnknownNameError,
    UsageError,
)
from vision_zoo.data.dataset import Splits
from vision_zoo.recipes import find_recipe
from vision_zoo.serving.predict import classify_file
from vision_zoo.serving.session import Session

_HEAVY = {"torch", "numpy", "PIL", "onnxruntime", "gradio", "fastapi", "onnx", "matplotlib", "typer"}


def test_the_public_names_are_these() -> None:
    assert sorted(vz.__all__) == [
        "Classifier",
        "__version__",
        "audit",
        "compare",
        "evaluate",
        "export",
        "export_html",
        "load",
        "optimize",
        "report",
        "resume",
        "site",
        "train",
    ]
    assert set(vz.__all__) <= set(dir(vz))
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        vz.lode  # noqa: B018


def test_importing_the_package_and_naming_its_functions_loads_nothing_heavy(tmp_path: Path) -> None:
    code = f"import vision_zoo as vz, sys; vz.load, vz.train, vz.compare; print(*sorted({_HEAVY} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.split() == []


@pytest.fixture(scope="module")
def model(exported_model: Path) -> vz.Classifier:
    return vz.load(exported_model, provider="cpu")


def test_a_picture_is_classified_as_the_command_does(
    model: vz.Classifier, exported_model: Path, digit_png: Path
) -> None:
    expected = classify_file(Session(exported_model, provider="cpu"), digit_png)
    answer = model.classify(str(digit_png))
    assert {one.label: one.probability for one in answer} == expected["probabilities"]
    assert [one.label for one in answer] == list(expected["probabilities"])
    assert answer[0].label == "7"
    assert model.classify(digit_png, top=2) == answer[:2]
    assert dataclasses.is_dataclass(answer[0])
    with pytest.raises(dataclasses.FrozenInstanceError):
        answer[0].label = "8"  # type: ignore[misc]


def test_paths_pictures_and_arrays_of_every_shape_are_one_picture(
    model: vz.Classifier, digit_png: Path
) -> None:
    picture = Image.open(digit_png)
    gray = np.asarray(picture)
    several = [
        digit_png,
        picture,
        gray,
        gray[..., None],
        np.stack([gray] * 3, axis=-1),
        np.asfortranarray(gray),
    ]
    answers = model.classify(several)
    assert len(answers) == len(several)
    expected = model.classify(digit_png)
    for answer in answers:
        assert [one.label for one in answer] == [one.label for one in expected]
        np.testing.assert_allclose(
            [one.probability for one in answer], [one.probability for one in expected], rtol=1e-4, atol=1e-6
        )
    assert model.classify([]) == []
    assert model.classify((digit_png,)) == [expected]


def test_a_picture_of_pillow_is_turned_upright_as_its_file_is(
    model: vz.Classifier, digit_png: Path, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.open(digit_png).transpose(Image.Transpose.ROTATE_90)
    turned.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as opened:
        assert model.classify(opened) == model.classify(tmp_path / "turned.png") == model.classify(digit_png)


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.zeros((28, 28)), r"cannot use an array float64 \[28, 28\]; expected uint8 \[height, width\]"),
        (np.zeros((2, 28, 28, 1), dtype=np.uint8), "a list for several images"),
        (np.zeros((28, 28, 4), dtype=np.uint8), r"uint8 \[28, 28, 4\]"),
        (np.zeros((0, 28), dtype=np.uint8), r"uint8 \[0, 28\]"),
        (b"bytes", "cannot use bytes; expected a path"),
        ("missing.png", "missing.png does not exist"),
        ("https://example.org/7.png", "is an address"),
        (str(Path(__file__).parent), "api is a folder; expected an image file: name the files in it"),
    ],
    ids=str,
)
def test_what_is_no_picture_is_refused_in_one_line(model: vz.Classifier, image: object, says: str) -> None:
    with pytest.raises(ImageError, match=says) as caught:
        model.classify(image)  # type: ignore[call-overload]
    assert "\n" not in str(caught.value)


def test_one_of_several_is_named(model: vz.Classifier, digit_png: Path) -> None:
    blank = np.zeros((28, 28), dtype=np.uint8)
    with pytest.raises(BlankImageError, match=r"^image 1: "):
        model.classify([digit_png, blank])
    with pytest.raises(UsageError, match="top 0 is out of range"):
        model.classify(digit_png, top=0)


def test_folders_and_patterns_are_classified_as_the_command_does(
    model: vz.Classifier, digit_png: Path, tmp_path: Path
) -> None:
    for name in ("b.png", "a.png"):
        (tmp_path / name).write_bytes(digit_png.read_bytes())
    expected = model.classify(digit_png, top=1)
    answers = dict(model.classify_files(tmp_path, f"{tmp_path}/b*", "missing.png", top=1))
    assert list(answers) == [str(tmp_path / "a.png"), str(tmp_path / "b.png"), "missing.png"]
    missing = answers.pop("missing.png")
    assert isinstance(missing, ImageError)
    for answer in answers.values():
        assert not isinstance(answer, ImageError)
        assert answer[0].label == expected[0].label
    with pytest.raises(UsageError, match="top 0 is out of range"):
        next(model.classify_files(tmp_path, top=0))


def test_a_shipped_model_is_loaded_by_its_name_and_others_are_refused(tmp_path: Path) -> None:
    loaded = vz.load("simple_cnn-mnist", provider="cpu")
    assert isinstance(loaded, vz.Classifier)
    assert (loaded.name, loaded.labels) == ("simple_cnn-mnist", tuple("0123456789"))
    assert loaded.metadata.recipe == "simple_cnn-mnist"
    assert "simple_cnn-mnist" in repr(loaded)
    with pytest.raises(UnknownNameError, match="did you mean 'simple_cnn-mnist'"):
        vz.load("simple_cnn-mnst")
    with pytest.raises(ModelError, match="does not exist"):
        vz.load(tmp_path / "none.onnx")


def test_a_run_is_trained_resumed_exported_and_scored(
    mnist_5k: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = vz.train("simple_cnn-mnist_5k", epochs=1, batch_size=512, device="cpu", progress=False)
    assert (run.path, run.recipe, run.epochs) == (Path("runs/simple_cnn-mnist_5k"), "simple_cnn-mnist_5k", 1)
    assert vz.resume(str(run.path), device="cpu", progress=False) == run
    exported = vz.export(run.path, "models", triton="triton")
    assert exported.path == Path("models/simple_cnn-mnist_5k.onnx")
    assert exported.argmax_agreement == 1
    assert exported.accuracy == pytest.approx(run.accuracy)
    assert exported.triton == Path("triton/simple_cnn-mnist_5k")
    assert not exported.replaced
    score = vz.evaluate(exported.path, "mnist-5k", provider="cpu", progress=False)
    assert score.accuracy == pytest.approx(exported.accuracy)
    assert (score.model, score.dataset, score.split) == (exported.path, "mnist-5k", "test")
    assert score.images == score.confusion_matrix.sum() == len(mnist_5k.test)
    again = vz.evaluate(vz.load(exported.path, provider="cpu"), progress=False)
    assert (again.accuracy, again.dataset) == (score.accuracy, "mnist-5k")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")


def test_what_is_wrong_is_the_commands_message(
    cli: Callable[..., Completed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for call, arguments in (
        (lambda: vz.train("simple_cnn-mnst"), ["train", "simple_cnn-mnst"]),
        (vz.train, ["train"]),
        (
            lambda: vz.train("lenet-fashion_mnist", epochs=0),
            ["train", "lenet-fashion_mnist", "--epochs", "0"],
        ),
        (lambda: vz.resume("nowhere"), ["train", "--resume", "nowhere"]),
        (lambda: vz.export("nowhere"), ["export", "nowhere", "--onnx"]),
        (lambda: vz.export_html("nowhere", "x.html"), ["export", "nowhere", "--html", "x.html"]),
        (lambda: vz.evaluate("x", "mnist-6k"), ["evaluate", "x", "--dataset", "mnist-6k"]),
        (
            lambda: vz.compare("mnist-5k", budget="soon"),
            ["compare", "--dataset", "mnist-5k", "--budget", "soon"],
        ),
    ):
        with pytest.raises((UsageError, UnknownNameError, RunError, DeviceError)) as caught:
            call()
        assert cli(*arguments).error == str(caught.value)
    with pytest.raises(UsageError, match="unknown key 'epoch': did you mean 'epochs'"):
        vz.train(find_recipe("lenet-fashion_mnist"), epoch=3)


def test_architectures_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compare_by_looks(monkeypatch, 0.2)
    compared = vz.compare(
        "mnist-5k", architectures=["small_cnn"], seeds=1, budget="10s", device="cpu", provider="cpu", out=tmp_path,
        progress=False,
    )  # fmt: skip
    assert compared.path == tmp_path
    assert compared.page.is_file()
    assert compared.model is not None
    assert vz.load(compared.model).name.startswith("small_cnn")
    assert compared.accuracy == compared.document.models[0].test_accuracy
