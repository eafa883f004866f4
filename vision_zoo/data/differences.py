"""Description of the differences between two versions of a dataset."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vision_zoo.core.errors import DataError
from vision_zoo.core.tables import counted
from vision_zoo.data.cache import content_hash
from vision_zoo.data.dataset import Splits
from vision_zoo.data.layout import Layout
from vision_zoo.data.scan import SPLIT_NAMES, listed
from vision_zoo.data.split import largest_remainder
from vision_zoo.images.preprocess import InputFormat


class FileRow(NamedTuple):
    """An image: its split, its file below the dataset's folder (or its index), its label, its content's SHA-256."""

    split: str
    file: str
    label: str
    sha256: str


def differences(before: Sequence[FileRow], now: Sequence[FileRow]) -> list[str]:
    """What happened to the files in between, the broadest first; empty where they are the same."""
    old = {(row.file, row.sha256) for row in before}
    new = {(row.file, row.sha256) for row in now}
    removed = dict(sorted(old - new))
    added = dict(sorted(new - old))
    if not removed and not added:
        return []
    found, explained = _folders(before, now, removed, added)
    removed = {name: digest for name, digest in removed.items() if not explained & _folders_of(name)}
    added = {name: digest for name, digest in added.items() if not explained & _folders_of(name)}
    both = sorted(removed.keys() & added.keys())
    unreadable = [name for name in both if not added[name]]
    changed = [name for name in both if added[name]]
    removed = {name: digest for name, digest in removed.items() if name not in both}
    added = {name: digest for name, digest in added.items() if name not in both}
    places = {digest: name for name, digest in added.items() if digest}
    moved = [f"{name} to {places[digest]}" for name, digest in removed.items() if digest in places]
    contents = {digest for digest in removed.values() if digest}
    gone = [name for name, digest in removed.items() if digest not in places]
    more = [name for name, digest in added.items() if digest not in contents]
    for names, what in (
        (unreadable, "not readable"),
        (changed, "changed"),
        (moved, "moved"),
        (gone, "gone"),
        (more, "added"),
    ):
        if names:
            found.append(f"{len(names):,} {'file' if len(names) == 1 else 'files'} {what} ({listed(names)})")
    return found


def _folders(
    before: Sequence[FileRow], now: Sequence[FileRow], removed: dict[str, str], added: dict[str, str]
) -> tuple[list[str], set[tuple[int, str]]]:
    """Splits and classes that are gone, new or called otherwise, in words and as (depth, name)."""
    level = 1 if all(_is_in_split(row.file) for row in before) else 0
    found = []
    explained = set()
    for depth, what in ((0, "split folder"), (1, "class")) if level else ((0, "class"),):
        old = {_part(row.file, depth) for row in before}
        new = {_part(row.file, depth) for row in now}
        gone, came = sorted(old - new - {""}), sorted(new - old - {""})
        explained |= {(depth, name) for name in (*gone, *came)}
        for name in gone:
            digests = _contents_of(removed, depth, name)
            same = [other for other in came if digests == _contents_of(added, depth, other)]
            if same and "" not in digests:
                came.remove(same[0])
                found.append(f"the {what} {name!r} is now called {same[0]!r}")
            else:
                found.append(f"the {what} {name!r} is gone ({counted(len(digests), 'file')})")
        found += [f"the {what} {name!r} is new" for name in came]
    return found, explained


def _contents_of(files: dict[str, str], depth: int, name: str) -> set[str]:
    return {digest for file, digest in files.items() if _part(file, depth) == name}


def _folders_of(file: str) -> set[tuple[int, str]]:
    return set(enumerate(file.split("/")[:-1]))


def _is_in_split(file: str) -> bool:
    parts = file.split("/")
    return len(parts) > 2 and parts[0].lower() in SPLIT_NAMES


def _part(file: str, depth: int) -> str:
    """The name of the folder at `depth` that a file lies in; empty where it lies above."""
    parts = file.split("/")
    return parts[depth] if len(parts) > depth + 1 else ""


# What runs without split.csv recorded: the suffixes of that time, and how a format was written then.
_FORMER_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".pgm", ".ppm")
_FORMER_FORMAT = ("channels", "height", "width", "crop", "centring", "polarity", "resample")


def former_sha256(layout: Layout, splits: Splits, target: InputFormat) -> str:
    """The content's hash as runs without split.csv have it; empty where such a run had another split."""
    files = {
        name: sorted(
            path
            for path in folder.rglob("*")
            if path.is_file() and path.suffix.lower() in _FORMER_SUFFIXES and not path.name.startswith(".")
        )
        for name, folder in sorted(layout.folders.items(), key=lambda entry: entry[1].name)
    }
    if not layout.split:
        labels = np.concatenate([splits.train.labels, splits.test.labels])
        held_out = np.bincount(splits.test.labels, minlength=labels.max() + 1)
        if not np.array_equal(held_out, largest_remainder(np.bincount(labels), len(splits.test))):
            return ""  # rare classes had no test image then
    names = "\n".join(
        f"{name}/{path.relative_to(layout.folders[name])}" for name in files for path in files[name]
    )
    try:
        content = content_hash(path for found in files.values() for path in found)
    except DataError:
        return ""
    written = ", ".join(f"{key}={getattr(target, key)!r}" for key in _FORMER_FORMAT)
    text = f"{content}\nInputFormat({written})\n{names}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
