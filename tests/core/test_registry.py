"""Plug-ins: what installed packages add to the registries."""

import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Completed
from vision_zoo.architectures import REGISTRY as ARCHITECTURES
from vision_zoo.architectures import build, find_architecture
from vision_zoo.cli.doctor import _plugins
from vision_zoo.core import registry
from vision_zoo.core.errors import PluginError, UnknownNameError, UsageError
from vision_zoo.data import find_dataset
from vision_zoo.recipes import find_recipe, recipe_for

_PACKAGE = {
    "__init__.py": """
from dataclasses import replace

from vision_zoo.architectures import Architecture
from vision_zoo.data import find_dataset
from vision_zoo.data.dataset import Dataset, Splits
from vision_zoo.recipes.recipe import Recipe

TINY = Architecture("tiny", "Tiny", "one dense layer", module="tiny_zoo.networks")


def load(data_dir):
    splits = find_dataset("mnist-5k").load(data_dir)
    return replace(splits, train=splits.train.spread(600), test=splits.test.spread(200))


DIGITS = replace(find_dataset("mnist-5k"), name="few-digits", train_images=600, test_images=200, loader=load)
RECIPE = Recipe(
    name="tiny-few_digits",
    architecture="tiny",
    architecture_arguments={"width": 8},
    dataset="few-digits",
    mean=(0.5,),
    std=(0.5,),
    epochs=2,
)
""",
    "networks.py": """
from torch import nn


class Tiny(nn.Sequential):
    def __init__(self, *, channels, image_size, classes, width=16):
        if width > 1000:
            raise ValueError("too wide")
        pixels = channels * image_size**2
        super().__init__(nn.Flatten(), nn.Linear(pixels, width), nn.ReLU(), nn.Linear(width, classes))
""",
}
_ENTRY_POINTS = {
    "architectures": {"tiny": "tiny_zoo:TINY"},
    "datasets": {"few-digits": "tiny_zoo:DIGITS"},
    "recipes": {"tiny-few_digits": "tiny_zoo:RECIPE"},
}


def _install(
    folder: Path,
    package: str,
    entry_points: Mapping[str, Mapping[str, str]] | str,
    files: Mapping[str, str],
) -> None:
    """What pip leaves in site-packages."""
    information = folder / f"{package.replace('-', '_')}-1.2.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
    if not isinstance(entry_points, str):
        lines = []
        for group, entries in entry_points.items():
            lines += [f"[vision_zoo.{group}]", *(f"{name} = {target}" for name, target in entries.items())]
        entry_points = "\n".join(lines)
    (information / "entry_points.txt").write_text(entry_points)
    for name, text in files.items():
        path = folder / package.replace("-", "_") / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder of packages that this process imports from."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    registry._offers.cache_clear()
    yield folder
    registry._offers.cache_clear()


def _import_from(folder: Path) -> None:
    sys.path.insert(0, str(folder))


def test_a_plug_in_is_trained_exported_and_predicts(
    cli: Callable[..., Completed], tmp_path: Path, digit_png: Path
) -> None:
    _install(tmp_path / "site", "tiny-zoo", _ENTRY_POINTS, _PACKAGE)
    prepare = functools.partial(_import_from, tmp_path / "site")

    def run(*arguments: str | Path, with_it: bool = True) -> Completed:
        done = cli(*arguments, prepare=prepare if with_it else None)
        assert done.code == 0, done.stderr
        return done

    for kind, name in (("architectures", "tiny"), ("datasets", "few-digits"), ("recipes", "tiny-few_digits")):
        listed = run("list", kind, "--json")
        assert name in [entry["name"] for entry in listed.json]
        assert listed.stderr == ""
    trained = run("train", "tiny-few_digits", "--device", "cpu", "--json").json
    assert trained["epochs"] == 2
    exported = run("export", trained["run"], "--onnx", "--output-dir", "models", "--json").json
    assert exported["argmax_agreement"] == 1
    assert exported["images"] == 200
    # Whoever serves the file needs the plug-in no more.
    described = run("info", exported["model"], "--json", with_it=False).json
    assert (described["architecture"], described["architecture_arguments"]) == ("tiny", {"width": 8})
    assert described["versions"]["tiny-zoo"] == "1.2"
    (predicted,) = run("predict", exported["model"], digit_png, "--json", with_it=False).json
    assert predicted["label"] in "0123456789"
    left = cli("export", trained["run"], "--onnx")
    assert "unknown dataset 'few-digits'" in left.error


def test_nothing_is_loaded_before_its_name_is_looked_up(site: Path) -> None:
    _install(
        site,
        "broken-zoo",
        {"architectures": {"broken": "broken_zoo:NET"}, "recipes": {"gone": "nowhere:RECIPE"}},
        {"__init__.py": "raise RuntimeError('out of\\n order')"},
    )
    _install(site, "other-zoo", {"architectures": {"lenet": "other_zoo:NET"}}, {"__init__.py": "1 / 0"})
    assert find_architecture("lenet").module is None
    assert recipe_for("lenet", "mnist").name == "lenet-mnist"
    with pytest.raises(UnknownNameError, match="did you mean 'broken'"):
        find_architecture("brokn")
    with pytest.raises(PluginError) as caught:
        find_architecture("broken")
    assert "the architecture 'broken' of the package broken-zoo cannot be used" in str(caught.value)
    assert "RuntimeError: out of order" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(PluginError, match=r"package broken-zoo .*No module named 'nowhere'"):
        find_recipe("gone")
    entries, faults = ARCHITECTURES.entries()
    assert "broken" not in entries
    assert entries["lenet"].module is None
    assert len(faults) == 2
    assert "other-zoo provides the architecture 'lenet', which is the name of a built-in one" in faults[1]


def test_the_doctor_lists_plug_ins_and_names_those_that_fail(site: Path) -> None:
    assert not list(_plugins())
    _install(site, "good-zoo", {"datasets": {"few-digits": "good_zoo:DIGITS"}}, _PACKAGE)
    _install(site, "bad-zoo", {"recipes": {"bad": "bad_zoo:RECIPE"}}, {"__init__.py": "1 / 0"})
    registry._offers.cache_clear()
    failed, usable = _plugins()
    assert (failed.state, usable.state) == ("problem", "ok")
    assert "recipe 'bad' of the package bad-zoo cannot be used (ZeroDivisionError" in failed.detail
    assert usable.detail == "dataset few-digits (good-zoo 1.2)"


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("odd_zoo:WRONG", "it has the type int, expected Architecture"),
        ("odd_zoo:MISNAMED", "it calls itself 'other'"),
        ("odd_zoo:MISSING", "AttributeError"),
        ("odd_zoo.leaving:NET", "SystemExit"),
    ],
)
def test_a_plug_in_that_is_none_is_refused(site: Path, target: str, says: str) -> None:
    files = {
        "__init__.py": "from vision_zoo.architectures import Architecture\n"
        "WRONG = 1\nMISNAMED = Architecture('other', 'Net', '')\n",
        "leaving.py": "import sys\nsys.exit('bye')\n",
    }
    name = f"odd-{says[:4].strip()}"
    _install(site, "odd-zoo", {"architectures": {name: target}}, files)
    with pytest.raises(PluginError, match=says) as caught:
        find_architecture(name)
    assert "the package odd-zoo" in str(caught.value)


def test_two_packages_with_one_name_and_a_damaged_file(site: Path) -> None:
    text = "from vision_zoo.architectures import Architecture\nNET = Architecture('twin', 'Net', '')\n"
    for package in ("one-zoo", "two-zoo"):
        module = package.replace("-", "_")
        _install(site, package, {"architectures": {"twin": f"{module}:NET"}}, {"__init__.py": text})
    _install(site, "torn-zoo", "[vision_zoo.architectures]\nno equals sign\n", {})
    with pytest.raises(PluginError, match="the packages one-zoo and two-zoo both provide"):
        find_architecture("twin")
    entries, faults = ARCHITECTURES.entries()
    assert "twin" not in entries
    assert [package for fault in faults for package in ("torn-zoo", "one-zoo") if package in fault] == [
        "torn-zoo",
        "one-zoo",
    ]
    assert find_dataset("mnist-5k").name == "mnist-5k"


def test_what_a_plug_ins_class_raises_is_one_line(site: Path) -> None:
    _install(site, "tiny-zoo", _ENTRY_POINTS, _PACKAGE)
    shape: dict[str, Any] = {"channels": 1, "image_size": 28, "classes": 10}
    assert sum(parameter.numel() for parameter in build("tiny", **shape).parameters()) == 12_730
    with pytest.raises(
        UsageError, match=r"architecture arguments of tiny: .*'depth'; expected some of width"
    ):
        build("tiny", **shape, arguments={"depth": 3})
    with pytest.raises(PluginError, match=r"'tiny', Tiny in tiny_zoo.networks, cannot be built .*too wide"):
        build("tiny", **shape, arguments={"width": 2000})
    with pytest.raises(UsageError, match=r"architecture arguments of lenet: .*'depth'"):
        build("lenet", **shape, arguments={"depth": 3})
