"""Recipes as TOML files."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Completed
from vision_zoo.core.errors import UnknownNameError, UsageError
from vision_zoo.recipes import RECIPES, read_recipe, recipe_for
from vision_zoo.recipes.recipe import Augmentation

_HEAD = 'architecture = "lenet"\ndataset = "mnist-5k"\n'


def _write(folder: Path, text: str, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_of_ours_can_be_a_file(tmp_path: Path, name: str) -> None:
    fields = json.loads(RECIPES[name].to_json())
    fields.pop("architecture_revision", None)  # of a run: a recipe that is written now is of the newest
    if fields["augmentation"] is not None:
        fields["augmentation"] = {k: v for k, v in fields["augmentation"].items() if v is not None}
    lines = [f"{key} = {_toml(value)}" for key, value in fields.items() if value is not None]
    assert read_recipe(_write(tmp_path, "\n".join(lines))) == RECIPES[name]


def test_what_the_file_leaves_out_has_its_default(tmp_path: Path) -> None:
    text = _HEAD + "epochs = 3\nlearning_rate = 1\n[augmentation]\nshift = 2\ncrop_scale = [0.5, 1]\n"
    recipe = read_recipe(_write(tmp_path, text))
    plain = recipe_for("lenet", "mnist-5k")
    expected = plain.replace(
        name="mine",
        epochs=3,
        learning_rate=1.0,
        augmentation=Augmentation(shift=2, crop_scale=(0.5, 1.0)),
    )
    assert recipe == expected
    assert json.loads(recipe.to_json()) == json.loads(expected.to_json())


def test_a_folder_is_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for label in ("cat", "dog"):
        (tmp_path / "recipes" / "pets" / label).mkdir(parents=True)
        for number in range(5):
            noise = np.random.default_rng(number).integers(0, 255, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(noise).save(tmp_path / "recipes" / "pets" / label / f"{number}.png")
    path = _write(tmp_path / "recipes", 'architecture = "lenet"\ndataset = "folder:pets"\nimage_size = 32')
    monkeypatch.chdir(tmp_path)
    recipe = read_recipe(Path("recipes") / path.name)
    assert recipe.data.dataset == f"folder:{(tmp_path / 'recipes' / 'pets').resolve()}"
    assert recipe.data.image_size == 32
    assert read_recipe(path, image_size=16).data.image_size == 16


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("epoch = 3", "unknown key 'epoch': did you mean 'epochs'"),
        ("xyzzy = 3", "unknown key 'xyzzy'"),
        ("epochs = 3.0", "epochs 3.0 is out of range; expected a whole number, at least 1"),
        ("epochs = true", "epochs True is out of range; expected a whole number"),
        ('epochs = "3"', "epochs '3' is out of range; expected a whole number"),
        ("epochs = 0", "epochs 0 is out of range"),
        ("learning_rate = nan", "learning rate nan is out of range; expected a number, above 0"),
        ("optimizer = 'adm'", "optimizer 'adm' is out of range; expected adam, adamw, sgd"),
        ("mean = 0.5", "mean 0.5 is out of range; expected a list of values"),
        ("mean = ['a']", "mean ('a',) is out of range; expected a list of values, each a number"),
        ("frozen = 1", "frozen 1 is out of range; expected true or false"),
        ("augmentation = 3", "augmentation 3 is out of range; expected a table"),
        ("augmentation.shfit = 3", "unknown key 'augmentation.shfit': did you mean 'shift'"),
        ("augmentation.shift = -1", "shift -1 is out of range"),
        ("augmentation.crop_scale = [1]", "crop scale (1,) is out of range; expected a list of 2 values"),
        ("architecture_arguments.when = 2020-01-01", "the key 'architecture_arguments' is {'when': "),
        ("reported.accuracy = 'good'", "reported {'accuracy': 'good'} is out of range"),
        ("name = 'a b'", "name 'a b' is out of range"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_file_and_key(tmp_path: Path, text: str, says: str) -> None:
    path = _write(tmp_path, _HEAD + text)
    with pytest.raises(UsageError) as caught:
        read_recipe(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_recipes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*none.toml: No such file"):
        read_recipe(tmp_path / "none.toml")
    with pytest.raises(UsageError, match="is not valid TOML"):
        read_recipe(_write(tmp_path, "epochs: 3"))
    with pytest.raises(UsageError, match="is not valid TOML"):
        read_recipe(_write(tmp_path, "a = " + "[" * 100_000))
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="is not valid TOML"):
        read_recipe(tmp_path / "bytes.toml")
    with pytest.raises(UsageError, match=r"mine.toml: the key 'architecture' is missing"):
        read_recipe(_write(tmp_path, 'dataset = "mnist-5k"'))
    with pytest.raises(UnknownNameError, match=r"mine.toml: unknown architecture 'lenett'"):
        read_recipe(_write(tmp_path, _HEAD.replace("lenet", "lenett")))


def test_a_file_is_trained(cli: Callable[..., Completed], tmp_path: Path) -> None:
    _write(tmp_path, 'architecture = "small_cnn"\ndataset = "mnist-5k"\nmax_steps = 3\n', "quick.toml")
    done = cli("train", "quick.toml", "--batch-size", 64, "--device", "cpu", "--json")
    assert done.code == 0, done.stderr
    assert done.json["run"] == str(Path("runs") / "quick")
    kept = json.loads((tmp_path / "runs" / "quick" / "recipe.json").read_text())
    assert (kept["name"], kept["max_steps"], kept["batch_size"]) == ("quick", 3, 64)
    _write(tmp_path, _HEAD + "epoch = 1", "wrong.toml")
    assert cli("train", "wrong.toml").error.startswith("wrong.toml: unknown key 'epoch'")
