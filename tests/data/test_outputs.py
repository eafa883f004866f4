"""What is written goes beside a user's folder of pictures, not into it: a sub-folder there is a class."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vision_zoo as vz
from vision_zoo.cli import app
from vision_zoo.core.errors import UsageError

_TRAIN = ("--architecture", "lenet", "--image-size", "16", "--epochs", "1")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two classes, which is the current one."""
    for label in ("cat", "dog"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(4):
            pixels = np.full((16, 16, 3), 20 * number, dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{number}.png")
    monkeypatch.chdir(tmp_path / "photos")
    return tmp_path / "photos"


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "--dataset", "folder:.", *_TRAIN),
        ("train", "--dataset", "folder:.", *_TRAIN, "--folds", "2"),
        ("train", "--dataset", "folder:../photos", *_TRAIN, "--out", "runs/mine"),
        ("audit", "folder:.", "--out", "cat/audit"),
        ("compare", "."),
        ("compare", "folder:.", "--out", "cat/compared"),
        ("tune", "own.toml", "--grid", "lr=0.1,0.2"),
        ("tune", "own.toml", "--sampler", "tpe", "--range", "lr=0.1:0.2", "--trials", "1"),
    ],
)
def test_nothing_is_written_into_the_folder(photos: Path, arguments: tuple[str, ...]) -> None:
    recipe = photos.parent / "own.toml"
    recipe.write_text('architecture = "lenet"\ndataset = "folder:photos"\nimage_size = 16\n')
    names = [str(recipe) if name == "own.toml" else name for name in arguments]
    before = sorted(photos.rglob("*"))
    with pytest.raises(
        UsageError,
        match=r"is inside .*choose a place outside it with --out",
    ):
        app(names, standalone_mode=False)
    assert sorted(photos.rglob("*")) == before


def test_a_run_beside_it_is_exported_beside_it(photos: Path) -> None:
    run = vz.train(
        architecture="lenet",
        dataset="folder:.",
        image_size=16,
        epochs=1,
        validate=False,
        out="../runs/mine",
        progress=False,
    )
    with pytest.raises(UsageError, match="outside it with --output-dir"):
        vz.export(run.path, "models")
    with pytest.raises(UsageError, match="outside it with --out"):
        vz.report(run.path, "cat/report.html")
    assert {path.name for path in photos.iterdir()} == {"cat", "dog"}
