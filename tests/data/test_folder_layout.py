"""Folders as they are: what is a class, a split, a picture, and what is left alone."""

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vision_zoo.core.errors import DataError
from vision_zoo.core.progress import SilentProgress
from vision_zoo.data import find_dataset
from vision_zoo.data.dataset import Splits, report_skipped
from vision_zoo.data.folder_contents import pictures_to_score
from vision_zoo.data.scan import is_picture
from vision_zoo.data.split import stratified_holdout
from vision_zoo.images.preprocess import InputFormat

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links")
SMALL = InputFormat(channels=3, height=8, width=8)


def picture(path: Path, seed: int, kind: str = "PNG") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format=kind)


def fill(folder: Path, *classes: str, count: int = 4, seed: int = 0) -> Path:
    for index, name in enumerate(classes):
        for number in range(count):
            picture(folder / name / f"{number}.png", seed + 100 * index + number)
    return folder


def load(folder: Path) -> tuple[tuple[str, ...], Splits]:
    dataset = find_dataset(f"folder:{folder}", target=SMALL)
    return dataset.labels, dataset.load()


def names(splits: Splits) -> set[str]:
    return {file.name for split in splits.named().values() for file in split.files}


class Lines(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.parametrize(
    "hidden",
    [
        "__MACOSX", ".ipynb_checkpoints", ".Trash-1000", "@eaDir", "$RECYCLE.BIN", "lost+found", ".git",
        "fish/.ipynb_checkpoints", "fish/@eaDir", "fish/__MACOSX/deeper",
    ],
)  # fmt: skip
def test_hidden_folders_are_ignored_and_that_is_said(tmp_path: Path, hidden: str) -> None:
    labels, before = load(fill(tmp_path, "cassette", "fish"))
    picture(tmp_path / hidden / "0.png", 7)
    again, after = load(tmp_path)
    assert again == labels == ("cassette", "fish")
    assert names(after) == names(before)
    assert after.sha256 == before.sha256
    assert any(f"ignored: {hidden.removesuffix('/deeper')}" in note for note in after.notes)


def test_files_that_systems_leave_behind_are_ignored(tmp_path: Path) -> None:
    fill(tmp_path, "cassette", "fish")
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._0.png"):
        (tmp_path / "fish" / name).write_bytes(b"x")
    _, splits = load(tmp_path)
    assert len(names(splits)) == 8
    assert not splits.skipped
    (note,) = splits.notes
    assert "4 hidden or system paths" in note


@needs_links
def test_links_to_classes_splits_and_files_are_followed(tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", "train/fish", "test/fish", "test/cassette", "more")
    fill(tmp_path / "own" / "train", "cassette")
    (tmp_path / "own" / "train" / "fish").symlink_to(tmp_path / "elsewhere" / "train" / "fish")
    (tmp_path / "own" / "test").symlink_to("../elsewhere/test")
    (tmp_path / "own" / "train" / "cassette" / "sub").symlink_to(tmp_path / "elsewhere" / "more")
    (tmp_path / "own" / "train" / "cassette" / "one.png").symlink_to(
        tmp_path / "elsewhere" / "more" / "0.png"
    )
    labels, splits = load(tmp_path / "own")
    assert labels == ("cassette", "fish")
    assert np.bincount(splits.train.labels).tolist() == [9, 4]
    assert len(splits.test) == 8


@needs_links
@pytest.mark.parametrize("target", ["..", ".", "../../own", "../fish", "loop"])
def test_links_in_a_circle_are_refused_or_left_out(tmp_path: Path, target: str) -> None:
    own = fill(tmp_path / "own", "cassette", "fish")
    (own / "cassette" / "loop").symlink_to(target)
    if target == "loop":  # leads nowhere
        assert len(names(load(own)[1])) == 8
        return
    with pytest.raises(DataError, match="are the same folder, by a link"):
        load(own)


@needs_links
def test_a_test_split_that_is_a_link_to_the_training_split_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "train", "cassette", "fish")
    (tmp_path / "test").symlink_to("train")
    with pytest.raises(DataError, match="are the same folder"):
        load(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="needs names of any bytes")
def test_names_that_are_no_utf8_are_used(tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    fill(odd, "tea")
    fill(odd, os.fsdecode(b"caf\xe9"))
    (odd / "tea" / os.fsdecode(b"\xff.png")).write_bytes((odd / "tea" / "0.png").read_bytes())
    labels, splits = load(odd)
    assert labels == (r"caf\udce9", "tea")
    assert {r"tea/\udcff.png", r"caf\udce9/0.png"} <= names(splits)
    for text in (*labels, *names(splits), find_dataset(f"folder:{odd}").title):
        text.encode()


def test_names_that_differ_in_composition_alone_are_one_class(tmp_path: Path) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    fill(tmp_path / "own" / "train", composed, "tea")
    fill(tmp_path / "own" / "test", decomposed, "tea", seed=50)
    assert load(tmp_path / "own")[0] == (composed, "tea")
    labels, splits = load(fill(tmp_path / "both", composed, decomposed, "tea"))
    assert labels == (composed, "tea")
    if len(list((tmp_path / "both").iterdir())) == 3:
        assert np.bincount(splits.train.labels)[0] + np.bincount(splits.test.labels)[0] == 8
        assert any("are merged into one class" in note for note in splits.notes)


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [(".jfif", "JPEG"), (".jpe", "JPEG"), (".JPG", "JPEG"), (".webp", "WEBP"), ("", "PNG"), ("", "JPEG"), (".dat", "GIF"),
     ("", "BMP"), ("", "TIFF"), ("", "PPM"), ("", "WEBP")],
)  # fmt: skip
def test_pictures_are_known_by_their_content(tmp_path: Path, suffix: str, kind: str) -> None:
    fill(tmp_path, "cassette", "fish")
    picture(tmp_path / "fish" / f"new{suffix}", 9, kind)
    assert f"fish/new{suffix}" in names(load(tmp_path)[1])


def test_what_is_a_picture_by_its_first_bytes() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (3, 3)).save(buffer, format="WEBP")
    assert is_picture("a", buffer.getvalue()[:16])
    assert is_picture("a", b"\0\0\0\x1cftypavif\0\0\0\0")
    assert is_picture("a.avif", b"")
    assert not is_picture("a.txt", b"BMW drives")
    assert not is_picture("a.mp4", b"\0\0\0\x1cftypisom\0\0\0\0")


def test_other_files_are_counted_and_a_few_are_named(tmp_path: Path) -> None:
    fill(tmp_path, "cassette", "fish")
    for number in range(500):
        (tmp_path / "fish" / f"{number:03}.xml").write_text("<annotation/>")
        (tmp_path / "fish" / f"{number:03}.jpg").write_bytes(b"damaged")
    _, splits = load(tmp_path)
    assert len(splits.skipped) == 500
    progress = Lines()
    report_skipped(splits, progress)
    damaged, others = progress.lines
    assert "skipped 500 unreadable images" in damaged
    assert "skipped 500 files of other types than images: fish/000.xml" in others
    assert max(map(len, progress.lines)) < 200


def test_a_class_of_damaged_files_gives_a_count_and_a_few_names(tmp_path: Path) -> None:
    fill(tmp_path, "cassette")
    for number in range(2000):
        (tmp_path / "fish").mkdir(exist_ok=True)
        (tmp_path / "fish" / f"{number}.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="'fish' has 0") as failed:
        load(tmp_path)
    assert len(str(failed.value)) < 400
    for file in (tmp_path / "cassette").iterdir():
        file.write_bytes(b"")
    with pytest.raises(DataError, match="2,004 cannot") as failed:
        load(tmp_path)
    assert len(str(failed.value)) < 400


@pytest.mark.parametrize(
    ("train", "test"),
    [("Training", "Testing"), ("train", "valid"), ("Train", "TEST"), ("train", "validation"), ("train", "eval"),
     ("TRAIN", "Dev")],
)  # fmt: skip
def test_splits_are_known_by_their_usual_names(tmp_path: Path, train: str, test: str) -> None:
    fill(tmp_path / train, "cassette", "fish")
    fill(tmp_path / test, "cassette", "fish", count=3, seed=50)
    labels, splits = load(tmp_path)
    assert labels == ("cassette", "fish")
    assert (len(splits.train), len(splits.test), splits.validation) == (8, 6, None)


def test_two_folders_that_mean_the_same_split_are_refused(tmp_path: Path) -> None:
    for split in ("train", "val", "dev"):
        fill(tmp_path / split, "cassette", "fish")
    with pytest.raises(DataError, match="dev/ and val/, which mean the same split"):
        load(tmp_path)


def test_a_class_called_train_beside_other_classes_is_a_class(tmp_path: Path) -> None:
    labels, splits = load(fill(tmp_path, "car", "plane", "train"))
    assert labels == ("car", "plane", "train")
    assert any("train/ is treated as a class" in note for note in splits.notes)


@pytest.mark.parametrize(
    ("folders", "says"),
    [
        (("train/cat", "train/dog", "fish"), "beside it fish/ with images"),
        (("train/cat", "train/dog", "test"), "test/ without any"),
        (("train", "test"), "without class folders"),
        (("test/cat", "test/dog", "val/cat", "val/dog"), "but no train/"),
        (("test/cat", "test/dog", "trian/cat", "trian/dog"), "trian/ with images"),
    ],
)
def test_a_folder_that_can_be_read_in_two_ways_is_refused(
    tmp_path: Path, folders: tuple[str, ...], says: str
) -> None:
    with pytest.raises(DataError, match=says):
        load(fill(tmp_path, *folders))


def test_folders_without_pictures_beside_the_splits_do_no_harm(tmp_path: Path) -> None:
    fill(tmp_path, "train/cat", "train/dog", "test/cat", "test/dog")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "0.json").write_text("{}")
    assert load(tmp_path)[0] == ("cat", "dog")


@pytest.mark.skipif(sys.platform == "win32", reason="needs such names")
@pytest.mark.parametrize("name", ["fi\nsh", "fi\rsh", "fi\x1b[31msh", "fi\u2028sh", "fi\x7fsh"])
def test_class_names_with_control_characters_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="control character") as failed:
        load(fill(tmp_path, "cassette", name))
    assert str(failed.value).isprintable()


@pytest.mark.parametrize(
    ("counts", "held_out"), [([600, 2], 120), ([2, 2, 2], 3), ([300, 3, 2, 2], 61), ([2, 500, 2], 101)]
)
def test_every_class_of_two_has_one_on_either_side(counts: list[int], held_out: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    kept, out = stratified_holdout(labels, held_out, seed=0)
    assert len(out) == held_out
    assert min(np.bincount(labels[out], minlength=len(counts))) >= 1
    assert min(np.bincount(labels[kept], minlength=len(counts))) >= 1


def test_more_rare_classes_than_can_be_held_out_still_give_that_many() -> None:
    labels = np.repeat(np.arange(10), 3).astype(np.int64)
    for held_out in (1, 4, 25, 29):
        assert len(stratified_holdout(labels, held_out, seed=0)[1]) == held_out


def test_a_rare_class_is_in_the_test_split(tmp_path: Path) -> None:
    fill(tmp_path, "common", count=60)
    fill(tmp_path, "rare", count=2, seed=500)
    _, splits = load(tmp_path)
    assert np.bincount(splits.test.labels).tolist() == [11, 1]
    assert np.bincount(splits.train.labels).tolist() == [49, 1]


def test_a_class_that_the_test_folder_lacks_is_said(tmp_path: Path) -> None:
    fill(tmp_path, "train/cat", "train/dog", "test/cat")
    assert any("the test split has no image of dog" in note for note in load(tmp_path)[1].notes)


def test_a_model_is_scored_on_all_pictures_by_the_names_of_its_labels(tmp_path: Path) -> None:
    fill(tmp_path / "new", "fish", "zebra")
    name, splits = pictures_to_score(tmp_path / "new", ("zebra", "cat", "fish"), SMALL)
    assert name == "all"
    assert np.bincount(splits.test.labels).tolist() == [4, 0, 4]
    picture(tmp_path / "new" / "crocodile" / "0.png", 3)
    with pytest.raises(DataError, match="classes that the model does not know: crocodile"):
        pictures_to_score(tmp_path / "new", ("zebra", "cat", "fish"), SMALL)
    fill(tmp_path / "split", "train/fish", "train/cat", "Testing/fish", count=3)
    name, splits = pictures_to_score(tmp_path / "split", ("cat", "fish"), SMALL)
    assert (name, splits.test.labels.tolist()) == ("test", [1, 1, 1])
