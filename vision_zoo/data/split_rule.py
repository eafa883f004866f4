"""Splits of a user's folder that the user asks for: a CSV file, groups that stay together, folds."""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vision_zoo.core.errors import DataError, UsageError
from vision_zoo.core.tables import counted
from vision_zoo.data.scan import SPLIT_NAMES, listed, portable
from vision_zoo.data.split import grouped_holdout, held_out_fold

SPLIT_FILE = "split.csv"
LEFT_OUT = "left out"
"""In the place of a split: a file that is in none of them."""
MOST_FOLDS = 20
TEST_FRACTION = 0.2
"""Of the pictures of a folder without splits."""


@dataclass(frozen=True, kw_only=True)
class SplitRule:
    """How a folder's pictures are split where the user says so.

    `file` names a CSV file with the columns `file` and `split`. Without it, and without splits of the folder's own, a
    fifth is held out, or the part `fold[0]` of `fold[1]`. `group_by` is a regular expression: pictures in whose paths
    below the class folder it finds the same (its first group, or all that it matches) are never in two splits.
    """

    file: Path | None = None
    group_by: str | None = None
    fold: tuple[int, int] | None = None

    def check(self, where: str, *, has_splits: bool) -> None:
        """Raise UsageError where the rule cannot be that of the folder called `where`."""
        if self.fold is None:
            return
        number, of = self.fold
        if not 2 <= of <= MOST_FOLDS or not 1 <= number <= of:
            raise UsageError(f"fold {number} of {of} is out of range; expected 2 to {MOST_FOLDS} folds")
        if has_splits or self.file is not None:
            given = f"--split {self.file}" if self.file is not None else "folders for its splits"
            raise UsageError(f"--folds makes its own splits, but {where} has {given}; omit one of them")

    def places(
        self, files: Sequence[str], labels: NDArray[np.int64], own: Sequence[str] | None, *, seed: int
    ) -> NDArray[np.str_]:
        """The split of each of `files` (paths below the folder) with `labels`; `own` gives the folder's own splits.

        Raises:
            DataError: the file of splits cannot be read, or puts one group into two splits.
            UsageError: `group_by` makes no groups.
        """
        groups = None if self.group_by is None else group_keys(files, self.group_by)
        if self.file is not None:
            known = read_split_file(self.file)
            own = [known.get(name, LEFT_OUT) for name in files]
        if own is not None:
            if groups is not None:
                _require_apart(files, groups, own)
            return np.array(own)
        keys = np.arange(len(files)) if groups is None else groups
        if self.fold is None:
            held_out = grouped_holdout(labels, keys, fraction=TEST_FRACTION, seed=seed, at_most=1.0)
        else:
            held_out = held_out_fold(labels, keys, number=self.fold[0], folds=self.fold[1], seed=seed)
        return np.where(held_out, "test", "train")


def split_file_in(folder: Path) -> Path | None:
    """The file of splits in a user's folder, where there is one."""
    file = folder / SPLIT_FILE
    return file if file.is_file() else None


def read_split_file(path: Path) -> dict[str, str]:
    """The split (`train`, `validation`, `test` or `LEFT_OUT`) of every file that a CSV file names.

    It has a header with `file` (a path below the folder) and `split`; other columns do not count.

    Raises:
        DataError: it cannot be read, has no such columns, an unknown split, or a file in two splits.
    """
    found: dict[str, str] = {}
    where = portable(str(path))
    expected = f"expected a CSV file with the columns file and split ({', '.join(dict.fromkeys(SPLIT_NAMES.values()))})"
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            file.seek(0)
            rows = csv.DictReader(file, delimiter=";" if ";" in header and "," not in header else ",")
            if not {"file", "split"} <= {*(rows.fieldnames or ())}:
                raise DataError(f"{where} lacks the column file or split; {expected}")
            for row in rows:
                name = _below(row["file"] or "")
                text = (row["split"] or "").strip().lower()
                split = LEFT_OUT if text == LEFT_OUT else SPLIT_NAMES.get(text)
                if split is None:
                    raise DataError(
                        f"{where} assigns {name} to {text!r:.60}, which is not a split; {expected}"
                    )
                if found.setdefault(name, split) != split:
                    raise DataError(
                        f"{where} assigns {name} to {found[name]} and to {split}; remove one of the rows"
                    )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{where} cannot be read ({reason}); {expected}") from error
    return found


def _below(name: str) -> str:
    return portable(name).removeprefix("./")


def require_listed(path: Path, known: Mapping[str, str], files: Iterable[str]) -> list[str]:
    """The `files` that a file of splits says nothing of; DataError where it names files that are not among them."""
    names = set(files)
    missing = sorted(name for name, split in known.items() if name not in names and split != LEFT_OUT)
    if missing:
        raise DataError(
            f"{portable(str(path))} names {counted(len(missing), 'missing image')}: {listed(missing)}; expected "
            "paths relative to the folder, such as class/image.jpg"
        )
    return sorted(names - known.keys())


def group_keys(files: Sequence[str], pattern: str) -> NDArray[np.str_]:
    """What `pattern` finds in each path below the class folder.

    Raises:
        UsageError: it is no regular expression, or finds nothing in a path, or the same in all of them.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"--group-by {pattern!r:.60} is not a regular expression ({error})") from error
    matches = {name: expression.search(_below_class(name)) for name in files}
    without = [name for name, match in matches.items() if match is None]
    if without:
        raise UsageError(
            f"--group-by {pattern!r:.60} matches nothing in {len(without):,} of {len(files):,} paths below the class "
            f"folders: {listed(without)}; expected a pattern that matches every path"
        )
    keys = [
        match.group(1 if expression.groups else 0) or "" for match in matches.values() if match is not None
    ]
    if len(set(keys)) < 2:
        raise UsageError(
            f"--group-by {pattern!r:.60} finds {keys[0]!r:.60} in all {len(files):,} paths, which gives a single "
            "group; expected a pattern that identifies a patient or burst, such as '^[^_]+'"
        )
    return np.array(keys)


def _below_class(name: str) -> str:
    first, *rest = name.split("/")
    in_split = first.lower() in SPLIT_NAMES and len(rest) > 1
    return "/".join(rest[1:] if in_split else rest)


def _require_apart(files: Sequence[str], groups: NDArray[np.str_], splits: Sequence[str]) -> None:
    first: dict[str, tuple[str, str]] = {}
    for name, group, split in zip(files, groups.tolist(), splits, strict=True):
        if split == LEFT_OUT:
            continue
        other, where = first.setdefault(group, (name, split))
        if where != split:
            raise DataError(
                f"the group {group!r:.60} is in {where} ({other}) and in {split} ({name}); put it into one split, or "
                "omit --group-by"
            )
