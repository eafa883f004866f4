"""Layout of a user's image folder: which sub-folders are classes, and which are splits."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_zoo.core.errors import DataError
from vision_zoo.core.tables import counted
from vision_zoo.data.scan import SPLIT_NAMES, Found, FoundFile, listed, look_through, portable, subfolders
from vision_zoo.data.split_rule import SPLIT_FILE

_CONTROL = {"Cc", "Zl", "Zp"}
_NAMED_CLASSES = 8
_OF_PHONES = (".heic", ".heif")
_ORDER: tuple[str, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Layout:
    """The folders by split. `root` alone is `train` where the folder has no splits, and `split` is False then."""

    root: Path
    folders: dict[str, Path]
    split: bool
    notes: tuple[str, ...] = ()

    def classes(self, name: str) -> tuple[str, ...]:
        """The classes of a split, in the order of their names."""
        return tuple(dict.fromkeys(self.class_folders(name)))

    def class_folders(self, name: str) -> list[str]:
        """The class folders' names in a split; a class has several that differ in Unicode's composition alone."""
        return [portable(folder.name) for folder in subfolders(self.folders[name])]

    def look_through(self) -> Found:
        """What is in the folders of the splits."""
        return look_through(self.root, self.folders.values() if self.split else None)

    def place(self, file: FoundFile) -> tuple[str, str] | None:
        """A file's split and class; None if it lies beside the class folders."""
        folders = file.parts[:-1]
        if not self.split:
            return ("train", portable(folders[0])) if folders else None
        name = next(name for name, folder in self.folders.items() if folder.name == folders[0])
        return (name, portable(folders[1])) if len(folders) > 1 else None


def read_layout(root: Path, *, training: bool = True) -> Layout:
    """The layout of the folder `root`: class folders, or `train/` with optional `val/` and `test/` that hold them.

    Without `test/`, `val/` is the test split. A folder called `train` without sub-folders is a class. Without
    `training`, a test split alone will do.

    Raises:
        DataError: no such folder, or one that can be read in two ways.
    """
    where = portable(str(root))
    if not root.is_dir():
        kind = "is not a folder" if root.exists() else "does not exist"
        raise DataError(f"{where} {kind}; expected a folder with one sub-folder of images per class")
    entries = subfolders(root)
    known = [entry for entry in entries if entry.name.lower() in SPLIT_NAMES]
    splits = [entry for entry in known if subfolders(entry)]
    flat = [entry for entry in known if entry not in splits]
    others = [entry for entry in entries if entry not in known]
    if not splits:
        if flat and not others:
            raise DataError(
                f"{where} has {listed(_names(flat))} without class folders; expected a sub-folder of images per class "
                "in each"
            )
        notes = [f"{portable(entry.name)}/ is treated as a class: it has no class folders" for entry in flat]
        return Layout(root, {"train": root}, split=False, notes=tuple(notes))
    _require_splits_alone(where, splits, flat, others)
    folders: dict[str, Path] = {}
    for entry in splits:
        name = SPLIT_NAMES[entry.name.lower()]
        if name in folders:
            raise DataError(
                f"{where} has {folders[name].name}/ and {entry.name}/, which mean the same split; merge or rename one"
            )
        folders[name] = entry
    if "test" not in folders and "validation" in folders:
        folders["test"] = folders.pop("validation")
    if "train" not in folders and (training or "test" not in folders):
        raise DataError(
            f"{where} has {listed(_names(splits))}, but no train/; expected train/ with class folders"
        )
    ordered: dict[str, Path] = {name: folders[name] for name in _ORDER if name in folders}
    notes = [f"{listed(_names(others))} next to the splits have no images and are ignored"] if others else []
    return Layout(root, ordered, split=True, notes=tuple(notes))


def _require_splits_alone(
    where: str, splits: Sequence[Path], flat: Sequence[Path], others: Sequence[Path]
) -> None:
    if flat:
        raise DataError(
            f"{where} has {listed(_names(splits))} with class folders, and {listed(_names(flat))} without any; "
            "expected class folders in each: add them, or rename the folders that are not splits"
        )
    pictured = [entry for entry in others if look_through(entry).pictures]
    if pictured:
        raise DataError(
            f"{where} has {listed(_names(splits))} with class folders, and beside it {listed(_names(pictured))} with "
            "images; expected only splits or only classes: move the others away"
        )


def _names(folders: Sequence[Path]) -> list[str]:
    return [f"{folder.name}/" for folder in folders]


def check_classes(layout: Layout, *, at_least: int) -> tuple[str, ...]:
    """The labels, which are the names of the first split's class folders.

    Raises DataError for too few, a name with control characters, or a split with a class that the first one lacks.
    """
    first = next(iter(layout.folders))
    labels = layout.classes(first)
    where = portable(str(layout.folders[first]))
    if len(labels) < at_least:
        raise DataError(
            f"{where} has {'one class folder' if labels else 'no class folder'}; "
            f"expected at least {'two, each' if at_least > 1 else 'one'} with images of one class"
        )
    for name, folder in layout.folders.items():
        classes = layout.classes(name)
        for label in classes:
            if any(unicodedata.category(character) in _CONTROL for character in label):
                raise DataError(
                    f"{portable(str(folder))} has a class folder {label!r} with a newline or another control "
                    "character in its name; rename it"
                )
        unknown = [label for label in classes if label not in labels]
        if unknown:
            raise DataError(
                f"{portable(str(folder))} has a class {unknown[0]!r} that {where} lacks; expected "
                f"{', '.join(labels[:_NAMED_CLASSES])}"
            )
    return labels


def notes_of(layout: Layout, found: Found) -> tuple[str, ...]:
    """What the user should know of how the folder was read."""
    stray = [file.name for file in found.pictures if layout.place(file) is None]
    notes = [*layout.notes]
    if found.ignored:
        notes.append(
            f"{counted(len(found.ignored), 'hidden or system path')} ignored: {listed(found.ignored)}"
        )
    others = [file.name for file in found.others if file.parts != (SPLIT_FILE,)]
    phone = [name for name in others if name.lower().endswith(_OF_PHONES)]
    others = [name for name in others if not name.lower().endswith(_OF_PHONES)]
    if phone:
        notes.append(f"skipped {counted(len(phone), 'HEIC image')}; convert to JPEG: {listed(phone)}")
    if others:
        notes.append(f"skipped {counted(len(others), 'file')} of other types than images: {listed(others)}")
    counts = [Counter(layout.class_folders(name)) for name in layout.folders]
    merged = [label for count in counts for label in count if count[label] > 1]
    if merged:
        notes.append(
            f"folders whose names differ only in Unicode composition are merged into one class: {listed(merged)}"
        )
    if stray:
        notes.append(f"ignored {counted(len(stray), 'image')} outside the class folders: {listed(stray)}")
    return tuple(notes)
