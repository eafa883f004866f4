"""The audit of a folder: every kind of finding, small folders, and files that it writes."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vision_zoo as vz
from tests.conftest import Completed
from tests.experiments.audit.pictures import disks, folder_of_photos, photo
from vision_zoo.api import Audit
from vision_zoo.core.errors import DataError, UsageError
from vision_zoo.experiments.audit import label_errors


@pytest.fixture
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the extra `train` is not installed."""

    def missing() -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(label_errors, "FrozenFeatures", missing)


def _content(folder: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _files(audited: Audit, name: str) -> list[str]:
    return [file for entry in audited.findings[name].entries for file in entry.act_on]


@pytest.mark.usefixtures("_no_network")
def test_copies_in_two_splits_of_a_split_file_are_a_leak(tmp_path: Path) -> None:
    folder = folder_of_photos(tmp_path / "pictures", images=6)
    place = folder / "class0"
    for number in (0, 1, 2):
        shutil.copy(place / f"{number}.png", place / f"copy{number}.png")
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    splits = {"class0/copy0.png": "test", "class0/copy1.png": "left out"}
    rows = [f"{name},{splits.get(name, 'train')}\n" for name in names if name != "class0/copy2.png"]
    (folder / "split.csv").write_text("file,split\n" + "".join(rows))
    audited = vz.audit(folder, out=tmp_path / "out", progress=False)
    assert _files(audited, "duplicates-across-splits") == ["class0/0.png"]
    assert "duplicates" not in audited.findings
    document = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert any("left out 1 image not listed in split.csv" in note for note in document["notes"])
    assert document["counts"]["test"]["class0"] == 1


@pytest.mark.usefixtures("_no_network")
def test_every_kind_of_finding_names_its_files_and_the_folder_stays_as_it_is(tmp_path: Path) -> None:
    folder = folder_of_photos(tmp_path / "pictures", images=20)
    place = folder / "class0"
    (place / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    photo(50).save(place / "text.png", "JPEG")
    frames = [photo(51), photo(52)]
    frames[0].save(place / "moving.webp", save_all=True, append_images=frames[1:])
    photo(53).convert("CMYK").save(place / "print.jpg")
    deep = np.asarray(photo(54).convert("L"), dtype=np.uint16) * 257
    Image.fromarray(deep).save(place / "deep.png")
    photo(55, (400, 100)).save(place / "long.png")
    Image.new("RGB", (120, 90), (7, 90, 30)).save(place / "blank.png")
    photo(56, (12, 10)).save(place / "tiny.png")
    photo(57).convert("L").save(place / "gray.png")
    shutil.copy(place / "3.png", place / "copy.png")
    shutil.copy(place / "4.png", folder / "class1" / "other.png")
    (folder / "rare").mkdir()
    photo(60).save(folder / "rare" / "only.png")
    before = _content(folder)
    audited = vz.audit(folder, out=tmp_path / "out", lists=tmp_path / "lists", progress=False)
    assert _content(folder) == before
    assert {name: sorted(_files(audited, name)) for name in audited.findings} == {
        "duplicates-across-classes": ["class0/4.png", "class1/other.png"],
        "unreadable": ["class0/broken.png"],
        "rare-classes": ["rare"],
        "one-colour": ["class0/blank.png"],
        "duplicates": ["class0/copy.png"],
        "wrong-extension": ["class0/text.png"],
        "animated": ["class0/moving.webp"],
        "cmyk": ["class0/print.jpg"],
        "16-bit": ["class0/deep.png"],
        "aspect": ["class0/long.png"],
        "small": ["class0/tiny.png"],
        "gray": ["class0/deep.png", "class0/gray.png"],
    }
    assert [line for line in audited.document.not_checked if "extra `train`" in line]
    written = {path.stem: path.read_text().split("\n")[:-1] for path in (tmp_path / "lists").iterdir()}
    assert written == {name: _files(audited, name) for name in audited.findings}
    assert json.loads((tmp_path / "out" / "audit.json").read_text())["pictures"] == audited.document.pictures


@pytest.mark.usefixtures("_no_network")
def test_a_picture_in_training_and_test_is_a_leak_whose_copy_in_training_goes(tmp_path: Path) -> None:
    folder_of_photos(tmp_path / "pictures" / "train")
    for label in (0, 1):
        shutil.copytree(
            tmp_path / "pictures/train" / f"class{label}", tmp_path / "pictures/test" / f"class{label}"
        )
        for number in range(2, 10):
            photo(5000 + 100 * label + number).save(tmp_path / f"pictures/test/class{label}/{number}.png")
    mirrored = photo(1001).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    mirrored.save(tmp_path / "pictures/test/class1/1.png")
    audited = vz.audit(tmp_path / "pictures", out=tmp_path / "out", progress=False)
    assert list(audited.findings) == ["duplicates-across-splits"]
    assert sorted(_files(audited, "duplicates-across-splits")) == [
        "train/class0/0.png", "train/class0/1.png", "train/class1/0.png", "train/class1/1.png",
    ]  # fmt: skip


@pytest.mark.usefixtures("_no_network")
@pytest.mark.parametrize(
    ("classes", "images", "found"),
    [(2, 1, {"rare-classes"}), (5, 1, {"rare-classes"}), (1, 12, set()), (2, 10, set())],
)
def test_small_folders_have_a_page(classes: int, images: int, found: set[str], tmp_path: Path) -> None:
    folder = folder_of_photos(tmp_path / "pictures", classes, images)
    audited = vz.audit(folder, out=tmp_path / "out", progress=False)
    assert set(audited.findings) == found
    assert "Images by class" in audited.page.read_text()


@pytest.mark.usefixtures("_no_network")
def test_a_folder_of_copies_of_one_picture_has_one_group(tmp_path: Path) -> None:
    folder = folder_of_photos(tmp_path / "pictures", 2, 1)
    for number in range(200):
        shutil.copy(folder / "class0" / "0.png", folder / "class0" / f"copy{number}.png")
    audited = vz.audit(folder, out=tmp_path / "out", progress=False)
    assert len(audited.findings["duplicates"].entries) == 1
    assert audited.findings["duplicates"].count == 200
    assert len(audited.page.read_text()) < 200_000


def test_too_few_pictures_for_label_errors_is_said(tmp_path: Path) -> None:
    folder = folder_of_photos(tmp_path / "pictures", 2, 3)
    audited = vz.audit(folder, out=tmp_path / "out", progress=False)
    (line,) = audited.document.not_checked
    assert line.startswith("label errors: too few images")


def test_labels_are_checked_with_pretrained_features(cli: Callable[..., Completed], tmp_path: Path) -> None:
    folder = folder_of_photos(tmp_path / "pictures", 1, 12)
    (folder / "spots").mkdir()
    for number in range(12):
        disks(number).save(folder / "spots" / f"{number}.png")
    (folder / "spots" / "5.png").rename(folder / "class0" / "wrong.png")
    done = cli("audit", folder, "--out", "out", "--json")
    assert done.code == 0, done.stderr
    document = done.json
    assert document["label_check"]["pictures"] == 24
    (finding,) = [entry for entry in document["findings"] if entry["name"] == "label-errors"]
    assert finding["entries"][0]["files"] == ["class0/wrong.png"]
    assert finding["entries"][0]["label"] == "spots"
    assert document == json.loads((tmp_path / "out" / "audit.json").read_text())


@pytest.mark.usefixtures("_no_network")
def test_the_page_is_self_contained_and_names_are_escaped(tmp_path: Path) -> None:
    folder = folder_of_photos(tmp_path / "pictures<b>")
    shutil.copy(folder / "class0/1.png", folder / "class0" / "<img src=x onerror=alert(1)>.png")
    page = vz.audit(folder, out=tmp_path / "out", progress=False).page.read_text()
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page
    assert "<script" not in page
    assert set(re.findall(r'src="([^,"]+)', page)) == {"data:image/webp;base64"}
    assert not re.search(r"https?:", page)


@pytest.mark.usefixtures("_no_network")
def test_a_list_of_an_earlier_audit_does_not_stay(tmp_path: Path) -> None:
    folder = folder_of_photos(tmp_path / "pictures")
    copy = folder / "class0" / "copy.png"
    shutil.copy(folder / "class0" / "1.png", copy)
    vz.audit(folder, out=tmp_path / "out", lists=tmp_path / "lists", progress=False)
    assert (tmp_path / "lists" / "duplicates.txt").read_text() == "class0/copy.png\n"
    copy.unlink()
    vz.audit(folder, out=tmp_path / "out", lists=tmp_path / "lists", progress=False)
    assert not list((tmp_path / "lists").iterdir())


@pytest.mark.usefixtures("_no_network")
def test_faults_of_the_call_are_one_clear_line(tmp_path: Path) -> None:
    folder = folder_of_photos(tmp_path / "pictures", 2, 1)
    with pytest.raises(UsageError, match=r"choose a place outside it with --out"):
        vz.audit(folder, out=folder / "out", progress=False)
    with pytest.raises(UsageError, match="outside it with --list"):
        vz.audit(folder, out=tmp_path / "out", lists=folder, progress=False)
    with pytest.raises(DataError, match="does not exist; expected a folder"):
        vz.audit(tmp_path / "none", out=tmp_path / "out", progress=False)
    (tmp_path / "empty" / "cats").mkdir(parents=True)
    with pytest.raises(DataError, match="has no image files in class folders"):
        vz.audit(tmp_path / "empty", out=tmp_path / "out", progress=False)
    assert not (folder / "out").exists()


@pytest.mark.usefixtures("_no_network")
def test_a_folder_whose_every_picture_is_damaged_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "pictures" / "cats").mkdir(parents=True)
    (tmp_path / "pictures" / "cats" / "one.png").write_bytes(b"")
    audited = vz.audit(tmp_path / "pictures", out=tmp_path / "out", progress=False)
    assert set(audited.findings) == {"unreadable", "rare-classes"}
    assert "no image" in audited.page.read_text()
