"""Splits of a folder that the user asks for: a CSV file, groups, folds."""

import csv
from pathlib import Path

import numpy as np
import pytest

from tests.training.runs import CLASSES, fill
from vision_zoo.core.errors import DataError, UsageError
from vision_zoo.data import find_dataset
from vision_zoo.data.dataset import Split, Splits
from vision_zoo.data.folder_contents import pictures_to_score
from vision_zoo.data.split import grouped_folds, grouped_holdout, held_out_fold
from vision_zoo.data.split_rule import SplitRule, read_split_file
from vision_zoo.images.preprocess import InputFormat


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures of each of three classes, by patients p0 to p4 with two pictures of every class."""
    root = fill(tmp_path_factory.mktemp("data") / "scans", range(10))
    for path in [*root.rglob("*.png")]:
        path.rename(path.with_name(f"p{int(path.stem) // 2}_{path.stem}.png"))
    return root


def _load(folder: Path, **rule: object) -> Splits:
    split = SplitRule(**rule) if rule else None  # type: ignore[arg-type]
    return find_dataset(f"folder:{folder}", image_size=8, split=split).load()


def _names(split: Split | None) -> set[str]:
    return set() if split is None else {file.name for file in split.files}


def _write(path: Path, rows: list[tuple[str, ...]], delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def _all_rows(folder: Path) -> list[tuple[str, ...]]:
    splits = ("train",) * 6 + ("valid", "Test", "test", "test")
    return [
        ("split", "file", "remark"),
        *(
            (splits[number], f"{name}/p{number // 2}_{number}.png", "x")
            for name in CLASSES
            for number in range(10)
        ),
    ]


def test_a_file_of_splits_is_followed_wherever_it_is(folder: Path, tmp_path: Path) -> None:
    splits = _load(folder, file=_write(tmp_path / "mine.csv", _all_rows(folder)))
    assert [len(splits.train), len(splits.validation or ()), len(splits.test)] == [18, 3, 9]
    assert _names(splits.validation) == {f"{name}/p3_6.png" for name in CLASSES}
    semicolons = _load(folder, file=_write(tmp_path / "excel.csv", _all_rows(folder), ";"))
    assert _names(semicolons.test) == _names(splits.test)
    assert semicolons.sha256 == splits.sha256
    assert _load(folder).sha256 != splits.sha256


def test_the_folders_own_file_is_used_without_being_asked_for(tmp_path: Path) -> None:
    root = fill(tmp_path / "own", range(4))
    rows = [
        (f"{name}/{number}.png", "test" if number == 3 else "train")
        for name in CLASSES
        for number in range(4)
    ]
    _write(root / "split.csv", [("file", "split"), *rows])
    splits = _load(root)
    assert _names(splits.test) == {f"{name}/3.png" for name in CLASSES}
    assert splits.notes == ()
    labels, target = CLASSES[::-1], InputFormat(channels=3, height=8, width=8)
    name, scored = pictures_to_score(root, labels, target)
    assert (name, _names(scored.test)) == ("test", _names(splits.test))
    assert [labels[label] for label in scored.test.labels] == list(CLASSES)


def test_pictures_that_a_file_of_splits_does_not_name_are_left_out_with_a_note(
    folder: Path, tmp_path: Path
) -> None:
    rows = [row for row in _all_rows(folder) if "p0_0" not in row[1]]
    file = _write(tmp_path / "few.csv", [*rows, ("left out", "fish/gone.png", "")])
    splits, left_out = _load(folder, file=file), ", ".join(f"{name}/p0_0.png" for name in CLASSES)
    assert len(splits.train) == 15
    assert splits.notes == (f"left out 3 images not listed in {file}: {left_out}",)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: [("name", "split"), *rows[1:]], "lacks the column file or split"),
        (lambda rows: [*rows, ("trian", "fish/p0_0.png", "")], "'trian', which is not a split"),
        (lambda rows: [*rows, ("test", "fish/p0_0.png", "")], "to train and to test"),
        (lambda rows: [*rows, ("test", "fish/gone.png", "")], "names 1 missing image: fish/gone.png"),
        (lambda rows: [row for row in rows if row[0].lower() not in ("test", "valid")], "to test; expected at least one"),
        (lambda rows: [row for row in rows if (row[0], row[1][:4]) != ("train", "fish")], "no image of fish"),
        (lambda rows: rows[:0], "lacks the column"),
    ],
)  # fmt: skip
def test_a_wrong_file_of_splits_is_one_line(folder: Path, tmp_path: Path, change: object, says: str) -> None:
    file = _write(tmp_path / "wrong.csv", change(_all_rows(folder)))  # type: ignore[operator]
    with pytest.raises(DataError, match=says) as caught:
        _load(folder, file=file)
    assert "\n" not in str(caught.value)
    assert "wrong.csv" in str(caught.value)


def test_a_file_of_splits_that_is_no_text_or_not_there_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "binary.csv").write_bytes(b"file,split\n\xff\xfe\n")
    for path in (tmp_path / "binary.csv", tmp_path / "nowhere.csv", tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            read_split_file(path)


def test_byte_order_marks_and_umlauts_of_either_form_are_read(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text('\ufefffile,split\n./cat/a\u0308.png,train\n"cat/a,""b"".png",dev\n', encoding="utf-8")
    assert read_split_file(path) == {"cat/ä.png": "train", 'cat/a,"b".png': "validation"}


def test_groups_are_never_in_two_splits(folder: Path) -> None:
    for pattern in (r"^p\d+", r"(p\d+)_"):
        splits = _load(folder, group_by=pattern)
        patients = [
            {name.split("/")[1][:2] for name in _names(split)} for split in (splits.train, splits.test)
        ]
        assert patients[0] | patients[1] == {"p0", "p1", "p2", "p3", "p4"}
        assert not patients[0] & patients[1]
        assert np.bincount(splits.test.labels).tolist() == [2, 2, 2]


def test_a_pattern_that_makes_no_groups_is_one_line(folder: Path) -> None:
    for pattern, says in (
        ("patient", "matches nothing in 30 of 30 paths"),
        ("p[0-3]", "matches nothing in 6 of 30 paths below the class folders: cassette/p4_8.png"),
        ("^p", "finds 'p' in all 30 paths, which gives a single group"),
        ("", "which gives a single group"),
        ("(p", "is not a regular expression"),
    ):
        with pytest.raises(UsageError, match=says.replace("(", r"\(")) as caught:
            _load(folder, group_by=pattern)
        assert "\n" not in str(caught.value)


def test_a_group_that_the_given_splits_tear_apart_is_named(folder: Path, tmp_path: Path) -> None:
    file = _write(tmp_path / "torn.csv", _all_rows(folder))
    with pytest.raises(DataError, match=r"the group 'p3' is in validation \(cassette/p3_6.png\) and in test"):
        _load(folder, file=file, group_by=r"^p\d")
    splits = tmp_path / "split"
    for name, number in (("train", 0), ("train", 1), ("test", 2)):
        fill(splits / name, range(number, number + 1), CLASSES[:2])
    assert len(_load(splits, group_by=r"\d").test) == 2
    (splits / "test" / "fish" / "2.png").rename(splits / "test" / "fish" / "1.png")
    with pytest.raises(DataError, match=r"the group '1' is in test \(test/fish/1.png\) and in train"):
        _load(splits, group_by=r"\d")


def test_every_picture_is_held_out_in_one_fold(folder: Path) -> None:
    for group_by in (None, r"^p\d"):
        parts = [_load(folder, fold=(number, 5), group_by=group_by) for number in range(1, 6)]
        assert all(not _names(part.train) & _names(part.test) for part in parts)
        held_out = [name for part in parts for name in _names(part.test)]
        assert len(held_out) == len(set(held_out)) == 30
        assert all(np.bincount(part.test.labels).tolist() == [2, 2, 2] for part in parts)


def test_folds_that_cannot_be_are_one_line(folder: Path, tmp_path: Path) -> None:
    for fold in ((1, 1), (0, 5), (6, 5), (1, 21)):
        with pytest.raises(UsageError, match="expected 2 to 20 folds"):
            _load(folder, fold=fold)
    with pytest.raises(UsageError, match="--folds makes its own splits"):
        _load(folder, fold=(1, 5), file=tmp_path / "s.csv")
    with pytest.raises(DataError, match="fold 5 of 5 has no image"):
        _load(fill(tmp_path / "few", range(2), CLASSES[:2]), fold=(5, 5))
    with pytest.raises(UsageError, match="folds can be chosen only for folder:PATH"):
        find_dataset("mnist-5k", split=SplitRule(fold=(1, 5)))


def test_folds_are_even_for_rare_classes_and_large_groups() -> None:
    labels = np.repeat([0, 1, 2], [1000, 100, 10])
    places = grouped_folds(labels, np.arange(len(labels)), folds=5, seed=0)
    for label, count in ((0, 200), (1, 20), (2, 2)):
        assert np.bincount(places[labels == label]).tolist() == [count] * 5
    assert not np.array_equal(places, grouped_folds(labels, np.arange(len(labels)), folds=5, seed=1))
    groups = np.repeat(np.arange(40), np.arange(1, 41))
    labels = groups % 2
    places = grouped_folds(labels, groups, folds=4, seed=0)
    for label in (0, 1):
        counts = np.bincount(places[labels == label], minlength=4)
        assert counts.max() - counts.min() < 0.1 * counts.sum()


def test_a_holdout_is_of_groups_that_fit_and_of_every_class() -> None:
    sizes = {0: [25, 20, 5, 4, 3, 3], 1: [40, 3, 3, 3, 3, 3, 5], 2: [30, 30], 3: [60]}
    groups = np.concatenate(
        [np.full(size, 10 * label + index) for label, of in sizes.items() for index, size in enumerate(of)]
    )
    labels = groups // 10
    for seed in range(20):
        test = grouped_holdout(labels, groups, fraction=0.2, seed=seed, at_most=1.0)
        assert not set(groups[test]) & set(groups[~test])
        counts = np.bincount(labels[test], minlength=4)
        assert (abs(counts[:2] - 12) <= 3).all()
        assert counts[2:].tolist() == [30, 0]  # a whole patient of two, and never the only one
        validation = grouped_holdout(labels, groups, fraction=0.1, seed=seed, at_most=1 / 3)
        assert 6 <= validation.sum() <= 18
        assert set(labels[validation]) == {0, 1}
        large = grouped_holdout(labels[:60], groups[:60] // 2, fraction=0.05, seed=seed, at_most=0.5)
        assert large.sum() == 6  # above its part, but there is no smaller one
    few = grouped_holdout(labels[labels == 2], groups[labels == 2], fraction=0.1, seed=0, at_most=1 / 3)
    assert few.sum() == 30
    with pytest.raises(DataError, match="no group can be held out"):
        grouped_holdout(labels[labels == 3], groups[labels == 3], fraction=0.1, seed=0, at_most=1 / 3)


def test_a_class_of_one_group_stays_in_training() -> None:
    labels, groups = np.array([0, 0, 1, 1, 0, 0]), np.array([0, 0, 1, 1, 2, 2])
    for number in (1, 2):
        held_out = held_out_fold(labels, groups, number=number, folds=2, seed=0)
        assert set(labels[~held_out]) == {0, 1}
