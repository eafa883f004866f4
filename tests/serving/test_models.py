"""Which file a model's name means: the one that was named."""

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT, Completed
from vision_zoo.core.errors import ModelError, UnknownNameError
from vision_zoo.serving.models import find_model, list_models

Cli = Callable[..., Completed]
_SHIPPED = "simple_cnn-mnist"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, an empty one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_text_with_a_suffix_is_the_file_of_the_working_folder(here: Path, exported_model: Path) -> None:
    shutil.copy(exported_model, here / f"{_SHIPPED}.onnx")
    assert find_model(f"{_SHIPPED}.onnx") == Path(f"{_SHIPPED}.onnx")
    assert find_model(f"./{_SHIPPED}.onnx") == Path(f"{_SHIPPED}.onnx")
    assert find_model(_SHIPPED) == ROOT / "exported" / f"{_SHIPPED}.onnx"


def test_a_file_that_is_not_there_is_not_another_one(here: Path) -> None:
    shipped = ROOT / "exported" / f"{_SHIPPED}.onnx"
    says = re.escape(f"{_SHIPPED}.onnx does not exist; ") + f".* or the name {_SHIPPED}, which is {shipped}"
    for text in (f"{_SHIPPED}.onnx", f"./{_SHIPPED}.onnx", f"nowhere/{_SHIPPED}.onnx"):
        with pytest.raises(ModelError, match=says):
            find_model(text)
    with pytest.raises(ModelError, match=re.escape(f"./{_SHIPPED} does not exist")):
        find_model(f"./{_SHIPPED}")


def test_a_file_name_is_looked_for_in_the_folder_that_is_given(here: Path, exported_model: Path) -> None:
    assert find_model(exported_model.name, exported_model.parent) == exported_model
    shutil.copy(exported_model, here / exported_model.name)
    assert find_model(exported_model.name, exported_model.parent) == Path(exported_model.name)
    assert find_model(exported_model.stem, exported_model.parent) == exported_model


def test_folders_are_no_models(here: Path) -> None:
    (here / _SHIPPED).mkdir()
    (here / "exported" / f"{_SHIPPED}.onnx").mkdir(parents=True)
    assert find_model(_SHIPPED) == ROOT / "exported" / f"{_SHIPPED}.onnx"
    for text in (f"{_SHIPPED}/", f"exported/{_SHIPPED}.onnx", "."):
        with pytest.raises(ModelError, match="is a folder"):
            find_model(text)


def test_a_name_with_a_dot_is_a_name_unless_there_is_such_a_file(here: Path, exported_model: Path) -> None:
    models = here / "models"
    models.mkdir()
    shutil.copy(exported_model, models / "digits.v2.onnx")
    assert find_model("digits.v2", models) == models / "digits.v2.onnx"
    shutil.copy(exported_model, here / "digits.v2")
    assert find_model("digits.v2", models) == Path("digits.v2")


@pytest.mark.skipif(sys.platform == "win32", reason="needs links and named pipes")
def test_links_that_lead_nowhere_and_pipes_are_refused(here: Path) -> None:
    (here / "exported").mkdir()
    (here / "exported" / f"{_SHIPPED}.onnx").symlink_to("gone")
    os.mkfifo(here / "exported" / "pipe.onnx")
    with pytest.raises(ModelError, match=rf"exported/{_SHIPPED}\.onnx does not exist"):
        find_model(_SHIPPED)
    with pytest.raises(ModelError, match="is not a regular file"):
        find_model("exported/pipe.onnx")
    with pytest.raises(UnknownNameError):
        find_model("pipe")
    assert "pipe" not in list_models()


@pytest.mark.parametrize("address", ["https://example.org/vit.onnx", "s3://bucket/vit.onnx", "data:,x"])
def test_an_address_is_refused(here: Path, address: str) -> None:
    with pytest.raises(ModelError, match="is an address; expected a file: download it first"):
        find_model(address)


@pytest.mark.parametrize(
    "command",
    [
        ["predict", "{model}", "{image}"],
        ["bench", "{model}", "--batch-sizes", "1", "--duration", "0.1"],
        ["evaluate", "{model}", "--dataset", "mnist-5k"],
        ["card", "{model}"],
        ["export", "{model}", "--triton", "repository"],
    ],
    ids=lambda command: command[0],
)
def test_every_command_says_which_file_it_uses(
    cli: Cli, tmp_path: Path, exported_model: Path, digit_png: Path, command: list[str]
) -> None:
    shutil.copy(exported_model, tmp_path / f"{_SHIPPED}.onnx")
    words = [word.format(model=f"{_SHIPPED}.onnx", image=digit_png) for word in command]
    done = cli(*words)
    assert done.code == 0, done.stderr
    assert f"using {_SHIPPED}.onnx (not listed in a manifest)" in done.stderr.splitlines()


def test_predict_says_so_in_json(cli: Cli, tmp_path: Path, exported_model: Path, digit_png: Path) -> None:
    shutil.copytree(exported_model.parent, tmp_path / "exported")
    shutil.copy(exported_model, tmp_path / "exported" / f"{_SHIPPED}.onnx")
    done = cli("predict", _SHIPPED, digit_png, "--json")
    assert [entry["model"] for entry in done.json] == [f"exported/{_SHIPPED}.onnx"]
    shipped = f"{ROOT / 'exported' / 'vit_augmented-mnist.onnx'}"
    assert f"using {shipped} (verified)" in cli("predict", "vit_augmented-mnist", digit_png).stderr
