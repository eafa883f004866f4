"""Contents of a user's folder: its pictures, found, decoded and split."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from vision_zoo.core.errors import DataError
from vision_zoo.core.tables import counted
from vision_zoo.data.cache import decoded_once, file_hash
from vision_zoo.data.dataset import Splits
from vision_zoo.data.differences import FileRow, former_sha256
from vision_zoo.data.image_folder import Picture, decode
from vision_zoo.data.layout import Layout, check_classes, notes_of, read_layout
from vision_zoo.data.scan import IMAGE_SUFFIXES, FoundFile, listed, look_through, portable
from vision_zoo.data.split import stratified_holdout
from vision_zoo.data.split_rule import (
    TEST_FRACTION,
    SplitRule,
    read_split_file,
    require_listed,
    split_file_in,
)
from vision_zoo.images.preprocess import InputFormat

_DEFAULT_RULE = SplitRule()
_SPLIT_SEED = 0  # the test images stay the same whatever seed a run has
_SPLIT_RULE = f"a fifth, seed {_SPLIT_SEED}, one of every class"


@dataclass(frozen=True)
class Contents:
    """What a folder holds: its pictures in the order of their names, and what the user should know of the rest."""

    layout: Layout
    pictures: tuple[Picture, ...]
    notes: tuple[str, ...]


def read_contents(layout: Layout) -> Contents:
    """Find and hash the pictures of a folder; DataError if a folder cannot be read, or a split has no pictures."""
    found = layout.look_through()
    pictures = []
    for file in found.pictures:
        place = layout.place(file)
        if place is not None:
            pictures.append(Picture(file, *place, _hash_where_readable(file)))
    for name, folder in layout.folders.items():
        if not any(picture.split == name for picture in pictures):
            suffixes = ", ".join(sorted(IMAGE_SUFFIXES))
            raise DataError(
                f"{portable(str(folder))} has no image files in class folders; expected {suffixes}"
            )
    return Contents(layout, tuple(pictures), notes_of(layout, found))


def pictures_below(path: Path) -> list[FileRow]:
    """All pictures in the sub-folders of `path`, without split and label; DataError if a folder cannot be read."""
    found = look_through(path)
    return [
        FileRow("", file.name, "", _hash_where_readable(file))
        for file in found.pictures
        if len(file.parts) > 1
    ]


def training_pictures(path: Path) -> int:
    """Count the pictures in `path` that are for training, those that cannot be read too; DataError as `read_layout`."""
    layout = read_layout(path)
    places = [layout.place(file) for file in layout.look_through().pictures]
    count = sum(place is not None and place[0] == "train" for place in places)
    return count if "test" in layout.folders else count - round(count * TEST_FRACTION)


def _hash_where_readable(file: FoundFile) -> str:
    """The content's SHA-256; empty where the file cannot be read, and is left out like one that is damaged."""
    try:
        return file_hash(file.path)
    except DataError:
        return ""


def load_contents(
    contents: Contents, labels: Sequence[str], target: InputFormat, rule: SplitRule = _DEFAULT_RULE
) -> Splits:
    """Decode a folder's pictures, or take them from the cache; `labels` gives the order of the classes.

    Raises DataError for a picture of another class, or a class with fewer than two readable pictures.
    """
    if rule != _DEFAULT_RULE:
        return _split_by_rule(contents, labels, target, rule)
    rows = [
        [picture.file.name, picture.split, picture.label, picture.sha256] for picture in contents.pictures
    ]
    described = {"labels": list(labels), "input": asdict(target), "rule": _SPLIT_RULE}
    splits = decoded_once("folder", {**described, "files": rows}, lambda: _split(contents, labels, target))
    rare = _missing_classes(splits, labels)
    former = partial(former_sha256, contents.layout, splits, target)
    drawn = "test" not in contents.layout.folders
    return replace(splits, notes=(*contents.notes, *rare), former_sha256=former, drawn=drawn)


def _split_by_rule(contents: Contents, labels: Sequence[str], target: InputFormat, rule: SplitRule) -> Splits:
    where = portable(str(contents.layout.root))
    every = _decoded_at_once(contents.pictures, labels, target, where)
    notes = list(contents.notes)
    if rule.file is not None:
        names = [picture.file.name for picture in contents.pictures]
        unknown = require_listed(rule.file, read_split_file(rule.file), names)
        if unknown:
            notes.append(
                f"left out {counted(len(unknown), 'image')} not listed in {rule.file}: {listed(unknown)}"
            )
    folders = {picture.file.name: picture.split for picture in contents.pictures}
    files = [file.name for file in every.test.files]
    own = [folders[name] for name in files] if contents.layout.split else None
    places = rule.places(files, np.asarray(every.test.labels), own, seed=_SPLIT_SEED)
    parts = {str(name): every.test.take(np.flatnonzero(places == name)) for name in np.unique(places)}
    if "test" not in parts and "validation" in parts:
        parts["test"] = parts.pop("validation")
    for name in ("train", "test"):
        if name not in parts:
            raise DataError(
                f"{rule.file or where} assigns no readable image to {name}; expected at least one"
            )
    content = [[picture.file.name, picture.sha256] for picture in contents.pictures]
    described = {
        "files": content,
        "input": asdict(target),
        "split": list(zip(files, places.tolist(), strict=True)),
    }
    splits = replace(
        every,
        train=parts["train"],
        test=parts["test"],
        validation=parts.get("validation"),
        sha256=_hash_of(described),
        drawn=own is None and rule.file is None,
    )
    lost = sorted({*range(len(labels))} - {*splits.train.labels.tolist()})
    if lost:
        raise DataError(
            f"{rule.file or where} assigns no image of {listed([labels[label] for label in lost])} to train; "
            "expected at least one per class"
        )
    return replace(splits, notes=(*notes, *_missing_classes(splits, labels)))


def pictures_to_score(
    path: Path, labels: Sequence[str], target: InputFormat, *, split: Path | None = None
) -> tuple[str, Splits]:
    """The pictures on which a model with `labels` is scored, as the test split: those in `test/`, else `all`.

    Where the CSV file `split` or the folder's split.csv names test pictures, they are those. Their classes may be some
    of the labels, in any order.

    Raises:
        DataError: no such folder, a class that the model does not know, or no picture that can be read.
    """
    layout = read_layout(path, training=False)
    split = split or split_file_in(path)
    if split is None and "test" in layout.folders:
        layout = replace(layout, folders={"test": layout.folders["test"]})
    check_classes(layout, at_least=1)
    contents = read_contents(layout)
    if split is not None:
        contents = _test_pictures(contents, split)
    by_name = {portable(label): label for label in labels}
    unknown = sorted({picture.label for picture in contents.pictures} - by_name.keys())
    if unknown:
        raise DataError(
            f"{portable(str(path))} has classes that the model does not know: {listed(unknown)}; expected some of "
            f"{listed(list(labels))}"
        )
    splits = _decoded_at_once(contents.pictures, labels, target, portable(str(path)))
    tested = split is not None or "test" in layout.folders
    return ("test" if tested else "all"), replace(splits, notes=contents.notes)


def _test_pictures(contents: Contents, split: Path) -> Contents:
    known = read_split_file(split)
    require_listed(split, known, [picture.file.name for picture in contents.pictures])
    wanted = "test" if "test" in known.values() else "validation"
    pictures = tuple(picture for picture in contents.pictures if known.get(picture.file.name) == wanted)
    if not pictures:
        raise DataError(f"{portable(str(split))} has no test images; expected at least one")
    return replace(contents, pictures=pictures)


def _decoded_at_once(
    pictures: Sequence[Picture], labels: Sequence[str], target: InputFormat, where: str
) -> Splits:
    """All pictures as the test split, whatever split they are in, in the order of their names."""
    rows = [[picture.file.name, picture.label, picture.sha256] for picture in pictures]
    described = {"labels": list(labels), "input": asdict(target), "rule": "all", "files": rows}

    def load() -> Splits:
        together = [replace(picture, split="all") for picture in pictures]
        decoded = decode(together, [portable(label) for label in labels], target, where)
        (split,) = decoded.splits.values()
        nothing = split.take(np.arange(0))
        return Splits(nothing, split, "own images", _hash_of(described), skipped=decoded.skipped)

    return decoded_once("folder", described, load)


def _hash_of(described: object) -> str:
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def _split(contents: Contents, labels: Sequence[str], target: InputFormat) -> Splits:
    layout = contents.layout
    decoded = decode(contents.pictures, labels, target, portable(str(layout.root)))
    train, test = decoded.splits["train"], decoded.splits.get("test")
    counts = np.bincount(train.labels, minlength=len(labels))
    few = [f"{label!r} has {count}" for label, count in zip(labels, counts, strict=True) if count < 2]
    if few:
        raise DataError(
            f"{portable(str(layout.folders['train']))} has classes with fewer than 2 images that can be read: "
            f"{listed(few)}; add images or remove the folders"
        )
    if test is None:
        held_out = max(round(len(train) * TEST_FRACTION), len(np.unique(train.labels)))
        kept, out = stratified_holdout(train.labels, held_out, seed=_SPLIT_SEED)
        train, test = train.take(kept), train.take(out)
    content = [[picture.file.name, picture.sha256] for picture in contents.pictures]
    return Splits(
        train=train,
        test=test,
        validation=decoded.splits.get("validation"),
        variant="own images",
        sha256=_hash_of({"files": content, "input": asdict(target)}),
        skipped=decoded.skipped,
    )


def _missing_classes(splits: Splits, labels: Sequence[str]) -> list[str]:
    notes = []
    for name, split in splits.named().items():
        counts = np.bincount(split.labels, minlength=len(labels))
        missing = [label for label, count in zip(labels, counts, strict=True) if not count]
        if missing:
            notes.append(
                f"the {name} split has no image of {listed(missing)}: its accuracy does not cover that"
            )
    return notes
