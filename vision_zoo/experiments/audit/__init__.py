"""Audit of a folder of pictures before training: damaged files, duplicates, probable label errors, rare classes.

Nothing in the folder is changed. Files and duplicates need numpy and Pillow alone; label errors need the extra `train`.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vision_zoo.core import atomic, json_file
from vision_zoo.core.errors import DataError
from vision_zoo.core.installation import missing_package
from vision_zoo.core.progress import Progress
from vision_zoo.core.tables import counted
from vision_zoo.core.threads import in_order
from vision_zoo.data.layout import check_classes, notes_of, read_layout
from vision_zoo.data.own_folder import folder_name, require_outside
from vision_zoo.data.scan import FoundFile, listed, portable
from vision_zoo.data.split_rule import LEFT_OUT, SPLIT_FILE, read_split_file, require_listed, split_file_in
from vision_zoo.experiments.audit import label_errors
from vision_zoo.experiments.audit.document import AuditResult, Entry, LabelCheck
from vision_zoo.experiments.audit.duplicates import distinct_representatives, find_duplicates
from vision_zoo.experiments.audit.findings import NAMES, SPLITS, findings
from vision_zoo.experiments.audit.page import write_page
from vision_zoo.experiments.audit.pictures import Inspected, inspect

PAGE, DOCUMENT = "audit.html", "audit.json"

_AT_A_TIME = 1000
"""Pictures that are in memory as the network takes them, 150 kB each."""


@dataclass(frozen=True)
class _Labels:
    """What checking the labels found, or why they were not checked."""

    entries: Sequence[Entry] = ()
    check: LabelCheck | None = None
    not_checked: Sequence[str] = ()


def default_folder(folder: Path) -> Path:
    """Where the page and the document of a folder's audit are written."""
    return Path("runs") / "audit" / folder_name(folder).removeprefix("folder-")


def audit(folder: Path, *, out: Path, lists: Path | None, progress: Progress) -> AuditResult:
    """Audit the pictures in the class folders of `folder`; write the page and the document to `out`.

    With `lists`, a text file for each finding names the files to act on, one a line.

    A split.csv in the folder says which split a picture is in; what it leaves out is not audited.

    Raises:
        DataError: no such folder, one without class folders, or without a picture; a split.csv that cannot be used.
        UsageError: `out` or `lists` is in `folder`, where nothing is changed.
        StorageError: a result cannot be written.
    """
    started, used = time.perf_counter(), time.process_time()
    for name, target in (("--out", out), ("--list", lists)):
        if target is not None:
            require_outside(folder, target, name)
            atomic.require_writable(target)
    layout = read_layout(folder, training=False)
    labels = check_classes(layout, at_least=1)
    found = layout.look_through()
    places = [(file, place) for file in found.pictures if (place := layout.place(file)) is not None]
    notes = [*notes_of(layout, found)]
    if len(labels) < 2:
        notes.append(f"there is one class, {labels[0]}; training needs at least two")
    table = split_file_in(folder)
    if table is not None:
        places, unknown = _placed_by(table, places)
        if unknown:
            notes.append(
                f"left out {counted(len(unknown), 'image')} not listed in {SPLIT_FILE}: {listed(unknown)}"
            )
    splits = [name for name in SPLITS if any(split == name for _, (split, _) in places)]
    if not places:
        raise DataError(f"{portable(str(folder))} has no image files in class folders; expected some in each")
    network, missing = _network()
    pictures, features = _inspected(places, network, progress)
    readable = [picture for picture in pictures if not picture.error]
    progress.start("looking for duplicates", len({picture.pixels for picture in readable}), "images")
    groups = find_duplicates(
        [picture.sha256 for picture in readable],
        [picture.pixels for picture in readable],
        np.array([picture.small for picture in readable], dtype=np.uint8),
        progress.advance,
    )
    checked = _Labels(not_checked=[f"label errors: {missing}"])
    if features is not None:
        checked = _check_labels(readable, features, distinct_representatives(groups, len(readable)))
    counts = {
        split: {
            label: Counter((p.split, p.label) for p in readable)[split, label]
            for label in labels
        }
        for split in splits
    }  # fmt: skip
    result = AuditResult(
        folder=portable(str(folder)),
        pictures=len(pictures),
        counts=counts,
        findings=findings(pictures, groups, counts, checked.entries),
        label_check=checked.check,
        not_checked=checked.not_checked,
        notes=notes,
        seconds=0.0,
        cpu_seconds=0.0,
    )
    result = replace(result, seconds=time.perf_counter() - started, cpu_seconds=time.process_time() - used)
    json_file.write(out / DOCUMENT, result, indent=1)
    write_page(out / PAGE, result, {picture.name: picture.file.path for picture in pictures})
    if lists is not None:
        _write_lists(lists, result)
    return result


def _placed_by(
    table: Path, places: Sequence[tuple[FoundFile, tuple[str, str]]]
) -> tuple[list[tuple[FoundFile, tuple[str, str]]], list[str]]:
    """The pictures in the splits of a split.csv, and the names of those that it says nothing of."""
    known = read_split_file(table)
    unknown = require_listed(table, known, [file.name for file, _ in places])
    placed = [
        (file, (known[file.name], label))
        for file, (_, label) in places
        if known.get(file.name, LEFT_OUT) != LEFT_OUT
    ]
    return placed, unknown


def _network() -> tuple[label_errors.FrozenFeatures | None, str]:
    """What computes features; None, and why, where a package is missing or its weights are damaged."""
    try:
        return label_errors.FrozenFeatures(), ""
    except ModuleNotFoundError as error:
        missing = missing_package(error)
        if missing is None:
            raise
        return None, str(missing)
    except DataError as error:
        return None, str(error)


def _inspected(
    places: Sequence[tuple[FoundFile, tuple[str, str]]],
    network: label_errors.FrozenFeatures | None,
    progress: Progress,
) -> tuple[list[Inspected], NDArray[np.float32] | None]:
    """Every picture, and the features of those that can be read."""
    pictures: list[Inspected] = []
    features = []
    look = partial(_inspect, side=None if network is None else label_errors.SIDE)
    for start in range(0, len(places), _AT_A_TIME):
        progress.start("inspecting", len(places), "images")
        progress.advance(start)
        part = []
        for picture in in_order(look, places[start : start + _AT_A_TIME]):
            part.append(picture)
            progress.advance()
        prepared = [picture.prepared for picture in part if picture.prepared is not None]
        if network is not None and prepared:
            features.append(network.of(np.stack(prepared), progress))
        pictures += [replace(picture, prepared=None) for picture in part]
    return pictures, np.concatenate(features) if features else None


def _inspect(place: tuple[FoundFile, tuple[str, str]], side: int | None) -> Inspected:
    file, (split, label) = place
    return inspect(file, split, label, side)


def _check_labels(
    pictures: Sequence[Inspected], features: NDArray[np.float32], groups: NDArray[np.int64]
) -> _Labels:
    classes = label_errors.checkable([picture.label for picture in pictures], groups)
    if not classes:
        reason = f"expected at least two classes with {label_errors.LEAST} different images each"
        return _Labels(not_checked=[f"label errors: too few images; {reason}"])
    number = {label: index for index, label in enumerate(classes)}
    rows = np.array([index for index, picture in enumerate(pictures) if picture.label in number])
    labels = np.array([number[pictures[row].label] for row in rows])
    probabilities = label_errors.out_of_fold(features[rows], labels, groups[rows])
    entries = [
        Entry(
            files=[name],
            act_on=[name],
            about=f"looks like {classes[suspect.looks_like]} "
            f"({probabilities[suspect.index, suspect.looks_like]:.0%}; {classes[labels[suspect.index]]} "
            f"{suspect.probability:.0%})",
            label=classes[suspect.looks_like],
            probability=round(suspect.probability, 4),
        )
        for suspect in label_errors.suspects(probabilities, labels)
        for name in [pictures[rows[suspect.index]].name]
    ]
    agreement = float((probabilities.argmax(axis=1) == labels).mean())
    return _Labels(
        entries, LabelCheck(architecture=label_errors.ARCHITECTURE, pictures=len(rows), agreement=agreement)
    )


def _write_lists(folder: Path, result: AuditResult) -> None:
    for name in NAMES:
        (folder / f"{name}.txt").unlink(missing_ok=True)  # of an earlier audit
    for finding in result.findings:
        names = dict.fromkeys(name for entry in finding.entries for name in entry.act_on)
        atomic.write_text(folder / f"{finding.name}.txt", "".join(f"{name}\n" for name in names))
