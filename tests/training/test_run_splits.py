"""Runs on a folder whose split, crop or channels the user chose: recorded, resumed, exported and scored as trained."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Completed
from tests.images.pictures import striped_picture
from tests.training.runs import CLASSES, fill
from vision_zoo.core.errors import DataError
from vision_zoo.core.progress import SilentProgress
from vision_zoo.data.split_rule import LEFT_OUT, read_split_file
from vision_zoo.recipes import choose_recipe, recipe_for
from vision_zoo.recipes.folder_settings import dataset_of
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.serving.session import Session
from vision_zoo.training.loader import training_splits
from vision_zoo.training.run_data import data_to_record, load_for_run, read_recorded
from vision_zoo.training.run_directory import RunDirectory


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fill(tmp_path / "scans", range(10))


def _write_splits(path: Path) -> Path:
    rows = [
        (f"{name}/{number}.png", "test" if number < 3 else "train")
        for name in CLASSES
        for number in range(10)
    ]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("file", "split"), *rows])
    return path


def test_a_run_keeps_the_split_crop_and_channels_that_it_was_trained_with(
    cli: Callable[..., Completed], folder: Path, tmp_path: Path
) -> None:
    given = _write_splits(tmp_path / "mine.csv")
    trained = cli(
        "train", "--architecture", "small_cnn", "--dataset", "folder:scans", "--image-size", "16", "--epochs", "1",
        "--patience", "1", "--crop", "none", "--channels", "gray", "--split", "mine.csv", "--out", "run", "--json",
    )  # fmt: skip
    assert trained.code == 0, trained.stderr
    data = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert (data["crop"], data["channels"], data["split"]) == ("none", "gray", "mine.csv")
    given.unlink()  # the run has its own
    _write_splits(folder / "split.csv").write_text("file,split\n")  # and does not look for another
    exported = cli("export", "run", "--onnx", "--output-dir", "models", "--json")
    assert exported.code == 0, exported.stderr
    metadata = Session(tmp_path / exported.json["model"], provider="cpu").metadata
    assert (metadata.input.crop, metadata.input.channels, metadata.test_images) == ("stretch", 1, 9)
    scored = cli(
        "evaluate", exported.json["model"], "--dataset", "folder:scans", "--split", "run/split.csv", "--json"
    ).json
    assert (scored["split"], scored["images"], scored["classes"]) == ("test", 9, trained.json["classes"])
    shown = cli("info", exported.json["model"])
    assert "grayscale, each side scaled by itself" in shown.stdout
    refused = cli("evaluate", exported.json["model"], "--dataset", "mnist-5k", "--split", "run/split.csv")
    assert "--split is only for folder:PATH" in refused.error


def test_strange_files_and_names_go_the_whole_way(cli: Callable[..., Completed], tmp_path: Path) -> None:
    first, second = 'cat, "big"', "dog's über"
    root = fill(tmp_path / "odd", range(6), (first, second))
    striped_picture(root / first / 'comma, "quote" ü\nline.png', 0, 50)
    striped_picture(root / first / "nested" / " deeper" / "x.png", 0, 51)
    striped_picture(root / second / "=cmd.png", 1, 52)
    whole = (root / first / "0.png").read_bytes()
    for name, content in (
        ("text.jpg", b"I am text"),
        ("empty.png", b""),
        ("cut.png", whole[: len(whole) // 2]),
    ):
        (root / first / name).write_bytes(content)
    Image.new("CMYK", (30, 20), (9, 99, 0, 0)).save(root / second / "cmyk.jpg")
    Image.new("I;16", (30, 20), 40_000).save(root / second / "deep.png")
    frames = [Image.new("L", (20, 20), level) for level in (0, 200)]
    frames[0].save(root / second / "animated.gif", save_all=True, append_images=frames[1:])
    trained = cli(
        "train", "--architecture", "small_cnn", "--dataset", "folder:odd", "--image-size", "16", "--epochs", "1",
        "--out", "run", "--json",
    )  # fmt: skip
    assert trained.code == 0, trained.stderr
    assert "skipped 3 unreadable images" in trained.stderr
    splits = read_split_file(tmp_path / "run" / "split.csv")
    assert len(splits) == 12 + 3 + 3 + 3
    assert sum(split == LEFT_OUT for split in splits.values()) == 3
    again = recipe_for("small_cnn", f"folder:{root}", image_size=16).override(
        split=str(tmp_path / "run" / "split.csv")
    )
    tested = [file.name for file in dataset_of(again.data).load().test.files]
    with (tmp_path / "run" / "predictions.csv").open(newline="", encoding="utf-8") as file:
        assert tested == [row["file"] for row in csv.DictReader(file)]
    exported = cli("export", "run", "--output-dir", "models", "--json")
    scored = cli(
        "evaluate", exported.json["model"], "--dataset", "folder:odd", "--split", "run/split.csv", "--json"
    )
    assert scored.json["classes"] == trained.json["classes"]


def test_the_folders_own_file_is_recorded_and_a_run_without_one_does_not_follow_it(folder: Path) -> None:
    before = recipe_for("small_cnn", f"folder:{folder}", image_size=16)
    _write_splits(folder / "split.csv")
    after = recipe_for("small_cnn", f"folder:{folder}", image_size=16)
    assert (before.data.split, after.data.split) == (None, str(folder / "split.csv"))
    assert [len(dataset_of(recipe.data).load().test) for recipe in (before, after)] == [6, 9]


def test_groups_are_kept_together_in_the_validation_split_as_well(folder: Path) -> None:
    for path in [*folder.rglob("*.png")]:
        path.rename(path.with_name(f"p{int(path.stem) // 2}_{path.stem}.png"))
    recipe = recipe_for("small_cnn", f"folder:{folder}", image_size=8).override(
        group_by=r"^p\d", patience=1, validation_fraction=0.25
    )
    parts = training_splits(dataset_of(recipe.data).load(), recipe)
    patients = [
        {file.name.split("/")[1][:2] for file in parts[name].files}
        for name in ("train", "validation", "test")
    ]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 5
    assert all(patients)


@pytest.mark.parametrize(("count", "fraction"), [(3, 0.1), (5, 0.99), (4, 0.5)])
def test_validation_leaves_every_class_an_image(tmp_path: Path, count: int, fraction: float) -> None:
    recipe = recipe_for("small_cnn", f"folder:{fill(tmp_path / 'few', range(count))}", image_size=8)
    parts = training_splits(dataset_of(recipe.data).load(), recipe.override(validation_fraction=fraction))
    assert set(parts["train"].labels.tolist()) == {0, 1, 2}
    assert len(parts["validation"])


def test_one_training_image_of_each_class_is_not_taken_away(tmp_path: Path) -> None:
    recipe = recipe_for("small_cnn", f"folder:{fill(tmp_path / 'pairs', range(2))}", image_size=8)
    splits = dataset_of(recipe.data).load()
    with pytest.raises(DataError, match=r"every class has one training image.*or train without validation"):
        training_splits(splits, recipe.override(validate=True))
    assert len(training_splits(splits, recipe.override(validate=False))["train"]) == 3


def test_names_with_line_breaks_come_back(folder: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("a\nb.png", "a\rb.png", 'a\r\n",b.png')):
        (folder / CLASSES[0] / f"{number}.png").rename(folder / CLASSES[0] / name)
    recipe = recipe_for("small_cnn", f"folder:{folder}", image_size=8)
    dataset = dataset_of(recipe.data)
    recorded = data_to_record(dataset, dataset.load(), recipe)
    run = RunDirectory(tmp_path / "run")
    recorded.save(run)
    assert read_recorded(run) == recorded
    assert len(read_split_file(run.split_file)) == 30


def test_a_split_in_a_toml_file_is_relative_to_it_and_a_gray_recipe_says_so(
    folder: Path, tmp_path: Path
) -> None:
    _write_splits(tmp_path / "mine.csv")
    toml = tmp_path / "my.toml"
    toml.write_text(
        'architecture = "small_cnn"\ndataset = "folder:scans"\nsplit = "mine.csv"\ncrop = "pad"\n'
    )
    recipe = choose_recipe(toml, None, None, image_size=8, changes={"channels": "gray", "group_by": None})
    assert (recipe.data.split, recipe.data.channels, recipe.data.mean) == (
        str(tmp_path / "mine.csv"),
        "gray",
        (0.5,),
    )
    assert dataset_of(recipe.data).load().test.images.shape == (9, 8, 8, 1)


def test_a_run_of_a_fold_goes_on_with_its_own_pictures(folder: Path, tmp_path: Path) -> None:
    from vision_zoo.training import train

    recipe = recipe_for("small_cnn", f"folder:{folder}", image_size=8).override(fold=(2, 3), epochs=1)
    train.start(recipe, tmp_path / "run", device="cpu", data_dir=None, progress=SilentProgress())
    run = RunDirectory.open(tmp_path / "run")
    assert Recipe.from_json(run.recipe_file.read_text(), name="r").data.fold == (2, 3)
    _, splits = load_for_run(run, run.recipe(), data_dir=None)
    again = dataset_of(recipe.data).load()
    for name, split in training_splits(again, recipe).items():
        kept = training_splits(splits, recipe)[name]
        assert [file.name for file in kept.files] == [file.name for file in split.files]
        assert np.array_equal(kept.images, split.images)
    assert splits.sha256 == again.sha256
