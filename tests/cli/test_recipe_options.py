"""The options of `train` that are settings of a recipe: each changes its own, and what `tune` varies is among them."""

from typing import Any, Literal, NoReturn, get_args, get_origin

import pytest
import typer.main

from vision_zoo import api
from vision_zoo.cli import app
from vision_zoo.core.errors import UsageError
from vision_zoo.experiments.search.search_space import parse_grid
from vision_zoo.recipes import choose_recipe, find_recipe
from vision_zoo.recipes.options import OPTIONS, option_name
from vision_zoo.recipes.recipe import SETTINGS, Recipe
from vision_zoo.recipes.settings import Setting

_NAME = "simple_cnn-mnist_5k"
_NEEDED: dict[str, dict[str, Any]] = {
    "momentum": {"optimizer": "sgd"},
    "muon_learning_rate": {"optimizer": "muon"},
    "validation_fraction": {"patience": 2},
    "feature_lr_factor": {"fine_tune": "all"},
    "warmup_fraction": {"schedule": "one_cycle"},
    "gamma": {"step_epochs": 2},
    "crop_tries": {"crop_scale": (0.5, 1.0)},
}
"""What a setting has no effect without."""
_CHOSEN = {"optimizer": "sgd"}  # the last of the choices is not for every recipe
_GROUP: Any = typer.main.get_command(app)


class _Chosen(Exception):  # noqa: N818  (it ends the command, as nothing is to be trained)
    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe


def _choose(recipe: str, **given: Any) -> NoReturn:
    changes = {name: value for name, value in given.items() if name in SETTINGS and name != "dataset"}
    changes.pop("image_size")
    changes.pop("pretrained")
    raise _Chosen(choose_recipe(recipe, None, None, image_size=None, changes=changes))


def _example(setting: Setting) -> tuple[list[str], Any]:
    """The words of an option on the command line, and the value that they mean."""
    option, kind = f"--{option_name(setting.name)}", setting.type
    if kind is bool:
        return [option], True
    if get_origin(kind) is Literal:
        chosen = _CHOSEN.get(setting.name, get_args(kind)[-1])
        return [option, chosen], chosen
    if get_origin(kind) is tuple:
        return [option, "0.5,0.75"], (0.5, 0.75)
    return [option, "3" if kind is int else "0.75"], kind(3 if kind is int else 0.75)


@pytest.mark.parametrize("name", list(OPTIONS))
def test_an_option_changes_its_setting_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "train", _choose)
    words, value = _example(OPTIONS[name])
    needed = _NEEDED.get(name, {})
    for other, given in needed.items():
        text = ",".join(map(str, given)) if isinstance(given, tuple) else str(given)
        words += [f"--{option_name(other)}", text]
    with pytest.raises(_Chosen) as caught:
        app(["train", _NAME, *words], standalone_mode=False)
    plain = find_recipe(_NAME).override(**needed)
    assert OPTIONS[name].of(caught.value.recipe) == value
    assert caught.value.recipe == plain.override(**{name: value}) != plain


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--gamma", "0.5"], "gamma 0.5 has no effect without step epochs"),
        (["--schedule", "one_cycle", "--gamma", "0.5"], "gamma 0.5 has no effect"),
        (["--warmup-fraction", "0.1"], "warmup fraction 0.1 has no effect without the schedule one_cycle"),
        (
            ["--patience", "3", "--no-validate"],
            "patience 3 needs validation; omit one of patience and no validation",
        ),
        (["--no-validate", "--kept-weights", "best"], "kept weights best has no effect without validation"),
        (["--validation-fraction", "0.2"], "validation fraction 0.2 has no effect without validation"),
        (["--crop-tries", "5"], "crop tries 5 has no effect without a crop scale"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(words: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        app(["train", _NAME, *words], standalone_mode=False)


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "epochs"])
def test_an_option_is_refused_when_a_run_goes_on(name: str) -> None:
    words, _ = _example(OPTIONS[name])
    with pytest.raises(UsageError, match=f"omit {words[0]}$"):
        app(["train", "--resume", "nowhere", *words], standalone_mode=False)


def test_compare_passes_its_options_on(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def compare(_dataset: str, **settings: Any) -> NoReturn:
        given.update(settings)
        raise UsageError("enough")

    monkeypatch.setattr(api, "compare", compare)
    words = ["--dataset", "mnist", "--lr", "0.01", "--crop-scale", "0.5,1", "--precision", "fp32"]
    with pytest.raises(UsageError, match="enough"):
        app(["compare", *words], standalone_mode=False)
    assert (given["learning_rate"], given["crop_scale"], given["precision"]) == (0.01, (0.5, 1.0), "fp32")
    assert given["batch_size"] is None
    assert "seed" not in given


def test_what_a_search_can_vary_is_an_option_of_train() -> None:
    with pytest.raises(UsageError, match="with one of ") as caught:
        parse_grid(["nothing=1"])
    fields = str(caught.value).rsplit("one of ", 1)[1].split(", ")
    parameters = _GROUP.get_command(None, "train").params
    options = {option for parameter in parameters for option in parameter.opts}
    assert {f"--{option_name(field)}" for field in fields} <= options
    assert {"learning_rate", "momentum", "gamma", "rotation", "label_smoothing", "warmup_fraction"} <= set(
        fields
    )
    for field in fields:
        assert parse_grid([f"{option_name(field)}=1"]) == parse_grid([f"{field}=1"]) == {field: [1]}


def test_help_is_in_sections(capsys: pytest.CaptureFixture[str]) -> None:
    app(["train", "--help"], standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()
    titles = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert titles == [
        "Arguments:",
        "Options:",
        "Data:",
        "Stopping:",
        "Training:",
        "Optimizer:",
        "Schedule:",
        "Augmentation:",
        "Distillation:",
    ]
    assert lines.index("Augmentation:") < next(
        number for number, line in enumerate(lines) if line.lstrip().startswith("--rotation")
    )


def test_another_form_of_numbers_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match=r"'0\.8,x' is not a list of numbers"):
        app(["train", _NAME, "--crop-scale", "0.8,x"], standalone_mode=False)
    with pytest.raises(UsageError, match="expected a list of 2 values"):
        app(["train", _NAME, "--crop-scale", "0.8"], standalone_mode=False)
