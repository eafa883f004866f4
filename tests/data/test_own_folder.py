"""A user's own folder of images as a dataset."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Completed
from vision_zoo.core.choices import FolderCrop
from vision_zoo.core.errors import DataError, UsageError
from vision_zoo.core.progress import SilentProgress
from vision_zoo.data import find_dataset
from vision_zoo.data.dataset import Split, report_skipped
from vision_zoo.data.folder_contents import pictures_to_score
from vision_zoo.images.preprocess import InputFormat
from vision_zoo.recipes import recipe_for
from vision_zoo.recipes.folder_settings import dataset_of
from vision_zoo.training import plots


def _image(path: Path, seed: int, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten cats and ten dogs of several sizes and modes."""
    root = tmp_path / "my pets"
    for number in range(10):
        mode = ("RGB", "L", "P", "RGBA")[number % 4]
        _image(root / "cat" / f"{number}.png", number, (20 + number, 50), mode)
        _image(root / "dog" / f"{number}.png", 100 + number, (70, 30 + number), mode)
    return root


def test_class_folders_are_a_dataset_with_a_fifth_held_out(folder: Path) -> None:
    dataset = find_dataset(f"folder:{folder}", image_size=32)
    splits = dataset.load()
    assert dataset.labels == ("cat", "dog")
    assert splits.train.images.shape == (16, 32, 32, 3)
    assert np.bincount(splits.test.labels).tolist() == [2, 2]
    again = find_dataset(f"folder:{folder}", image_size=32).load()
    assert np.array_equal(splits.test.images, again.test.images)


def test_the_folders_own_splits_are_used(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "split"
    for name, numbers in (("train", range(6)), ("val", range(6, 8)), ("test", range(8, 10))):
        for label in ("cat", "dog"):
            for number in numbers:
                target = root / name / label / f"{number}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(folder / label / f"{number}.png", target)
    splits = find_dataset(f"folder:{root}").load()
    assert splits.validation is not None
    assert [len(splits.train), len(splits.validation), len(splits.test)] == [12, 4, 4]
    shutil.rmtree(root / "test")
    splits = find_dataset(f"folder:{root}").load()
    assert splits.validation is None
    assert len(splits.test) == 4


def test_files_that_are_no_images_are_left_out_by_name(folder: Path) -> None:
    (folder / "cat" / "broken.png").write_bytes(b"no image")
    (folder / "dog" / "notes.txt").write_text("not meant to be one")
    (folder / "dog" / "IMG_1.HEIC").write_bytes(b"a phone's")
    splits = find_dataset(f"folder:{folder}").load()
    assert [file.name for file in splits.skipped] == ["cat/broken.png"]
    assert splits.notes == (
        "skipped 1 HEIC image; convert to JPEG: dog/IMG_1.HEIC",
        "skipped 1 file of other types than images: dog/notes.txt",
    )
    assert len(splits.train) + len(splits.test) == 20


def test_a_newline_in_a_name_breaks_no_line(folder: Path) -> None:
    (folder / "cat" / "two\nlines ü.png").write_bytes(b"no image")
    (warning,) = _warnings(folder)
    assert warning == ("warning: skipped 1 unreadable image: cat/two\\nlines ü.png")


def test_equal_pictures_in_two_splits_are_counted_and_named(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "split"
    for name, numbers in (("train", range(4)), ("val", range(4, 6)), ("test", range(6, 8))):
        for number in numbers:
            for label in ("cat", "dog"):
                _image(root / name / label / f"{number}.png", number + 100 * len(label) * ord(label[0]))
    assert not _warnings(root)
    Image.open(root / "train" / "cat" / "2.png").save(root / "test" / "dog" / "copy.bmp")
    shutil.copy(root / "val" / "dog" / "4.png", root / "test" / "cat" / "other.png")
    shutil.copy(root / "val" / "dog" / "4.png", root / "test" / "dog" / "again.png")
    shutil.copy(root / "train" / "cat" / "3.png", root / "val" / "cat" / "copy.png")
    assert _warnings(root) == [
        (
            "warning: 1 of 5 images of the validation split are also in another split (val/cat/copy.png is "
            "train/cat/3.png): its accuracy is too high; remove them from one of the splits"
        ),
        (
            "warning: 3 of 7 images of the test split are also in another split (test/cat/other.png is "
            "val/dog/4.png): its accuracy is too high; remove them from one of the splits"
        ),
    ]


def test_equal_pictures_are_no_leak_within_a_split_or_when_scored(folder: Path) -> None:
    target = InputFormat(channels=3, height=16, width=16)
    shutil.copytree(folder / "cat", folder / "dog", dirs_exist_ok=True)
    assert len(_warnings(folder)) == 1  # a fifth is held out
    name, splits = pictures_to_score(folder, ("cat", "dog"), target)
    lines: list[str] = []
    report_skipped(splits, _Lines(lines))
    assert (name, lines) == ("all", [])


class _Lines(SilentProgress):
    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def line(self, text: str) -> None:
        self.lines.append(text)


def _warnings(folder: Path) -> list[str]:
    progress = _Lines([])
    report_skipped(find_dataset(f"folder:{folder}", image_size=16).load(), progress)
    return progress.lines


def test_a_changed_file_is_not_taken_from_the_cache(folder: Path) -> None:
    before = find_dataset(f"folder:{folder}").load()
    _image(folder / "cat" / "0.png", 999)
    after = find_dataset(f"folder:{folder}").load()
    assert before.sha256 != after.sha256


def test_a_models_input_format_is_what_images_are_brought_to(folder: Path) -> None:
    target = InputFormat(channels=1, height=28, width=28)
    assert find_dataset(f"folder:{folder}", target=target).load().test.images.shape[1:] == (28, 28, 1)


def test_pictures_are_cropped_scaled_or_padded_as_asked(tmp_path: Path) -> None:
    pixels = np.full((20, 60, 3), 90, dtype=np.uint8)
    pixels[:, :20], pixels[:, 40:] = (250, 0, 0), (0, 0, 250)
    for name in ("a", "b"):
        for number in range(2):
            path = tmp_path / "wide" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels + np.uint8(number)).save(path)
    middle, left = {}, {}
    for crop in get_args(FolderCrop):
        dataset = find_dataset(f"folder:{tmp_path / 'wide'}", image_size=30, crop=crop)
        image = dataset.load().test.images[0]
        middle[crop], left[crop] = image[15, 15, 0] // 10, image[15, 0, 0] // 10
    assert middle == {"centre": 9, "none": 9, "pad": 9}
    assert left == {"centre": 9, "none": 25, "pad": 25}
    assert (
        recipe_for("small_cnn", f"folder:{tmp_path / 'wide'}").override(crop="pad").settings()["crop"]
        == "pad"
    )
    with pytest.raises(UsageError, match="crop can be chosen only for folder:PATH"):
        find_dataset("mnist", crop="pad")


def test_a_gray_folder_stays_gray_unless_asked_otherwise(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "gray"
    for number, mode in enumerate(("L", "1", "LA", "I;16")):
        for name in ("a", "b"):
            (root / name).mkdir(parents=True, exist_ok=True)
            Image.new(mode, (9, 9), (1, 255) if mode == "LA" else 1).save(root / name / f"{number}.png")
    (root / "a" / "broken.png").write_bytes(b"no image")
    assert find_dataset(f"folder:{root}").input.channels == 1
    assert find_dataset(f"folder:{root}", channels="colour").input.channels == 3
    assert find_dataset(f"folder:{folder}").input.channels == 3
    assert find_dataset(f"folder:{folder}", channels="gray").input.channels == 1
    plain, frozen = (recipe_for(name, f"folder:{root}").data for name in ("simple_cnn", "alexnet_finetuned"))
    assert (plain.channels, plain.mean, frozen.channels, len(frozen.mean)) == ("gray", (0.5,), "gray", 3)
    coloured = recipe_for("simple_cnn", f"folder:{root}", channels="colour")
    assert (coloured.data.channels, len(coloured.data.mean)) == ("colour", 3)
    assert "channels" not in coloured.settings()
    # A recipe of an earlier version says nothing of channels, and has colour.
    assert dataset_of(coloured.data).input.channels == 3
    assert dataset_of(plain).input.channels == 1
    _image(root / "b" / "colour.png", 1)
    assert find_dataset(f"folder:{root}").input.channels == 3


def test_gray_images_with_three_channels_are_gray(tmp_path: Path) -> None:
    root, chance = tmp_path / "scans", np.random.default_rng(0)
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        for number, suffix in enumerate(("png", "jpg", "webp", "gif")):
            gray = Image.fromarray(chance.integers(0, 256, (16, 16), dtype=np.uint8))
            gray.convert("RGB").save(root / name / f"{number}.{suffix}")
    assert find_dataset(f"folder:{root}").input.channels == 1
    assert find_dataset(f"folder:{root}", channels="colour").input.channels == 3
    one = np.full((16, 16, 3), 90, dtype=np.uint8)
    one[3, 4] = (90, 90, 93)  # one pixel of one image is enough
    Image.fromarray(one).save(root / "b" / "0.png")
    assert find_dataset(f"folder:{root}").input.channels == 3


def test_every_class_is_looked_at_for_colours(tmp_path: Path) -> None:
    for label in range(40):
        for number in range(2):
            path = tmp_path / "many" / f"{label:02}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (5, 5, 5)).save(path)
    assert find_dataset(f"folder:{tmp_path / 'many'}").input.channels == 1
    Image.new("RGB", (8, 8), (200, 5, 5)).save(tmp_path / "many" / "37" / "0.png")
    assert find_dataset(f"folder:{tmp_path / 'many'}").input.channels == 3


def test_an_unusable_folder_says_what_is_wrong(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        find_dataset("folder:/nowhere")
    with pytest.raises(DataError, match="expected at least two"):
        find_dataset(f"folder:{folder / 'cat'}")
    _image(tmp_path / "few" / "cat" / "1.png", 1)
    _image(tmp_path / "few" / "dog" / "1.png", 2)
    _image(tmp_path / "few" / "dog" / "2.png", 3)
    with pytest.raises(DataError, match="'cat' has 1"):
        find_dataset(f"folder:{tmp_path / 'few'}").load()
    (tmp_path / "empty" / "a").mkdir(parents=True)
    (tmp_path / "empty" / "b").mkdir()
    with pytest.raises(DataError, match="no image files"):
        find_dataset(f"folder:{tmp_path / 'empty'}").load()
    _image(folder / "train" / "cat" / "1.png", 1)
    _image(folder / "train" / "dog" / "1.png", 1)
    _image(folder / "test" / "bird" / "1.png", 1)
    with pytest.raises(DataError, match="beside it cat/, dog/ with images"):
        find_dataset(f"folder:{folder}")
    shutil.rmtree(folder / "cat")
    shutil.rmtree(folder / "dog")
    with pytest.raises(DataError, match="'bird'"):
        find_dataset(f"folder:{folder}")


def test_an_image_size_is_for_folders_alone() -> None:
    with pytest.raises(UsageError, match="28 pixels"):
        find_dataset("mnist", image_size=64)


@pytest.mark.parametrize("size", [0, -5, 3, 1025, 10**9])
@pytest.mark.parametrize("command", ["train", "compare"])
def test_an_image_size_out_of_range_is_refused(
    cli: Callable[..., Completed], folder: Path, tmp_path: Path, command: str, size: int
) -> None:
    architecture = ("--architecture", "small_cnn") if command == "train" else ()
    done = cli(
        command, *architecture, "--dataset", f"folder:{folder}", "--image-size", str(size), "--out", "out"
    )
    assert done.code == 2
    assert done.error == f"image size {size} is out of range; expected 4 to 1024 pixels per side"
    assert not (tmp_path / "out" / "recipe.json").exists()


def test_class_names_are_never_taken_for_formulas(tmp_path: Path) -> None:
    labels = ("$\\frac$", "x" * 200, "a$b")
    plots.write_confusion_matrix(tmp_path / "matrix.png", np.eye(3, dtype=np.int64), labels, title="odd")
    split = Split(np.zeros((3, 4, 4, 3), dtype=np.uint8), np.arange(3))
    plots.write_samples(tmp_path / "samples.png", split, np.array([0, 2, 1]), labels, title="odd")


def test_a_recipe_for_a_folder_is_named_after_it_and_fits_the_architecture(folder: Path) -> None:
    recipe = recipe_for("simple_cnn", f"folder:{folder}", image_size=48)
    assert (recipe.name, recipe.data.image_size) == ("simple_cnn-folder_my_pets", 48)
    assert recipe_for("alexnet_finetuned", f"folder:{folder}").frozen


def test_from_folder_to_prediction(cli: Callable[..., Completed], folder: Path, tmp_path: Path) -> None:
    (folder / "cat" / "broken.jpg").write_bytes(b"no image")
    dataset = os.path.relpath(folder, tmp_path)
    trained = cli(
        "train", "--architecture", "small_cnn", "--dataset", f"folder:{dataset}", "--image-size", "16", "--epochs", "1",
        "--out", "run", "--json",
    )  # fmt: skip
    assert trained.code == 0, trained.stderr
    assert "skipped 1 unreadable image" in trained.stderr
    assert "broken.jpg" in trained.stderr
    page = (tmp_path / "run" / "report.html").read_text()
    wrong = round((1 - trained.json["test_accuracy"]) * 4)
    assert f"{wrong} of 4 test images are misclassified" in page
    assert page.count("<img") == 4 + wrong  # each in its cell of the confusion matrix, and the mistakes
    exported = cli("export", "run", "--onnx", "--output-dir", "models", "--json")
    model = exported.json["model"]
    assert str(folder) not in Path(tmp_path / model).read_bytes().decode("latin-1")
    scored = cli("evaluate", model, "--dataset", f"folder:{dataset}", "--json")
    assert (scored.json["images"], scored.json["split"]) == (20, "all")
    assert "trained on a folder of this name" in scored.stderr
    assert "does not say where they are; pass --dataset folder:PATH" in cli("evaluate", model).error
    assert exported.json["test_accuracy"] == trained.json["test_accuracy"]
    predicted = cli("predict", model, folder / "dog" / "3.png", "--json")
    assert set(predicted.json[0]["probabilities"]) == {"cat", "dog"}
