"""Findings: what inspection, duplicates and label errors say, sorted by what to do first."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vision_zoo.core.tables import counted
from vision_zoo.data.scan import listed
from vision_zoo.experiments.audit.document import Entry, Finding, Severity
from vision_zoo.experiments.audit.duplicates import Group, Sameness
from vision_zoo.experiments.audit.pictures import Inspected

FEW = 10
"""Training pictures below which a class is too rare."""

_RARE_FRACTION = 1 / 10  # of the largest class
_LONG = 3.0
_SMALL_FRACTION = 1 / 4  # of the median of the shorter sides
_ODD_FRACTION = 1 / 5  # a minority of gray pictures
_SAME: Mapping[Sameness, str] = {
    "content": "identical files",
    "pixels": "identical pixels in different files",
    "near": "near duplicates",
}


@dataclass(frozen=True)
class _Kind:
    title: str
    severity: Severity
    advice: str


_KINDS = {
    "duplicates-across-splits": _Kind(
        "The same image in several splits",
        "error",
        "The measured accuracy is too high. The list names the copies outside the test split (or, if none is in it, "
        "the validation split); remove them.",
    ),
    "duplicates-across-classes": _Kind(
        "The same image in several classes",
        "error",
        "At least one of the labels is wrong. Keep each image only in its correct class.",
    ),
    "label-errors": _Kind(
        "Probable label errors",
        "error",
        "Check each image, the most suspicious first; move it to its correct class, or remove it. Unusual views and "
        "images of two objects are also listed here.",
    ),
    "unreadable": _Kind(
        "Files that cannot be read", "error", "Training leaves them out. Restore, convert or remove them."
    ),
    "rare-classes": _Kind(
        "Classes with too few images", "warning", "Add images, or merge or remove the class."
    ),
    "one-colour": _Kind("Blank images (one colour)", "warning", "They show nothing; remove them."),
    "duplicates": _Kind(
        "The same image several times in a class",
        "warning",
        "Copies count twice, and without a test folder, one may be used for training and the other for testing. The "
        "list names all but one of each; remove them.",
    ),
    "wrong-extension": _Kind(
        "File names that do not match the format",
        "warning",
        "Training reads files by their content; other programs may not. Rename them.",
    ),
    "animated": _Kind(
        "Files with several images",
        "warning",
        "Only the first image is used. Save the intended one as a separate file.",
    ),
    "cmyk": _Kind(
        "Images in CMYK",
        "warning",
        "CMYK is for printing, and its colours are converted only approximately. Save as RGB.",
    ),
    "16-bit": _Kind(
        "Samples of more than 8 bits",
        "warning",
        "They are converted to 8 bits; check that they do not become black or white.",
    ),
    "aspect": _Kind(
        f"Aspect ratios above {_LONG:g}:1",
        "warning",
        "Images are cropped to the central square before training; crop them to the relevant part.",
    ),
    "small": _Kind(
        "Much smaller than the other images",
        "warning",
        "They become blurred when enlarged; replace them with larger ones.",
    ),
    "gray": _Kind(
        "Grayscale images among colour images",
        "note",
        "If one class has most of them, a model may learn gray as a feature of that class.",
    ),
}
NAMES = tuple(_KINDS)
"""Of all findings, the most harmful first."""


def _size(picture: Inspected) -> str:
    return f"{picture.size[0]} x {picture.size[1]} pixels"


_SUSPICIOUS: Mapping[str, tuple[Callable[[Inspected], bool], Callable[[Inspected], str]]] = {
    "one-colour": (lambda picture: picture.one_colour, _size),
    "wrong-extension": (
        lambda picture: picture.wrong_suffix,
        lambda picture: f"its content is {picture.format}",
    ),
    "animated": (lambda picture: picture.animated, lambda picture: picture.format),
    "cmyk": (lambda picture: picture.mode == "CMYK", lambda picture: picture.format),
    "16-bit": (lambda picture: picture.deep, lambda picture: f"{picture.format}, {_size(picture)}"),
    "aspect": (
        lambda picture: max(picture.size) > _LONG * min(picture.size),
        _size,
    ),
}

SPLITS = ("train", "validation", "test")


def findings(
    pictures: Sequence[Inspected],
    groups: Iterable[Group],
    counts: Mapping[str, Mapping[str, int]],
    label_errors: Sequence[Entry],
) -> list[Finding]:
    """Everything that was found, the most harmful kind first.

    `groups` hold indices of those `pictures` that can be read; `counts` are pictures by split and class.
    """
    readable = [picture for picture in pictures if not picture.error]
    entries: dict[str, list[Entry]] = {name: [] for name in _KINDS}
    entries["label-errors"] = list(label_errors)
    entries["unreadable"] = [_alone(picture, picture.error) for picture in pictures if picture.error]
    entries["rare-classes"] = _rare(counts)
    for group in groups:
        for name, entry in _same(group, [readable[member] for member in group.members]):
            entries[name].append(entry)
    for name, (applies, about) in _SUSPICIOUS.items():
        entries[name] = [_alone(picture, about(picture)) for picture in readable if applies(picture)]
    entries["small"] = _much_smaller(readable)
    entries["gray"] = _gray(readable)
    return [
        Finding(
            name=name, title=kind.title, severity=kind.severity, advice=kind.advice, entries=entries[name]
        )
        for name, kind in _KINDS.items()
        if entries[name]
    ]


def _alone(picture: Inspected, about: str) -> Entry:
    return Entry(files=[picture.name], act_on=[picture.name], about=about)


def _same(group: Group, members: Sequence[Inspected]) -> Iterable[tuple[str, Entry]]:
    """The entries of a group of duplicates with the names of their findings."""
    files = [member.name for member in members]
    what = _SAME[group.sameness]
    splits = {member.split for member in members}
    labels = sorted({member.label for member in members})
    if len(splits) > 1:
        kept = "test" if "test" in splits else "validation"
        others = [member.name for member in members if member.split != kept]
        about = f"{what} in {', '.join(name for name in SPLITS if name in splits)}"
        yield "duplicates-across-splits", Entry(files=files, act_on=others, about=about)
    if len(labels) > 1:
        yield (
            "duplicates-across-classes",
            Entry(files=files, act_on=files, about=f"{what} in {listed(labels)}"),
        )
    if len(splits) == len(labels) == 1:
        yield "duplicates", Entry(files=files, act_on=files[1:], about=f"{what} in {labels[0]}")


def _rare(counts: Mapping[str, Mapping[str, int]]) -> list[Entry]:
    first, *others = counts
    largest = max(counts[first].values(), default=0)
    rare = [
        (label, count, f"{label} has {counted(count, 'image')}; the largest class has {largest:,}")
        for label, count in sorted(counts[first].items(), key=lambda entry: entry[1])
        if count < max(FEW, _RARE_FRACTION * largest)
    ]
    rare += [
        (label, 0, f"{label} has none in the {split} split")
        for split in others
        for label in counts[first]
        if not counts[split].get(label)
    ]
    return [Entry(files=[], act_on=[label], about=about) for label, _, about in rare]


def _much_smaller(pictures: Sequence[Inspected]) -> list[Entry]:
    if not pictures:
        return []
    usual = float(np.median([min(picture.size) for picture in pictures]))
    small = [picture for picture in pictures if min(picture.size) < _SMALL_FRACTION * usual]
    small.sort(key=lambda picture: min(picture.size))
    return [_alone(picture, _size(picture)) for picture in small]


def _gray(pictures: Sequence[Inspected]) -> list[Entry]:
    gray = [picture for picture in pictures if picture.gray and not picture.one_colour]
    if len(gray) > _ODD_FRACTION * len(pictures):
        return []
    of_class = Counter(picture.label for picture in gray)
    return [
        _alone(picture, f"one of {of_class[picture.label]:,} in {picture.label}")
        for picture in sorted(gray, key=lambda picture: (-of_class[picture.label], picture.name))
    ]
