"""How much of what is wrong with a folder `vision-zoo audit` finds: `results/<environment>/own_folder_audit.json`.

The folders hold the first 100 pictures of each class of a dataset's training split. In one, 5 % of the pictures are moved
to another class; in another, changed copies lie beside the pictures that they are made of. What is measured already is
kept. Imagenette is part of ImageNet, which the features were trained on: its figures flatter.

    python -m benchmarks.own_folder.audit [--datasets imagenette cifar10] [--seeds 3]
"""

import argparse
import io
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from vision_zoo.api import Audit, audit
from vision_zoo.core import json_file
from vision_zoo.core.environment import describe
from vision_zoo.core.own_folder_result import AuditMeasurement, OwnFolderAuditResult
from vision_zoo.core.results import result_path, write_result
from vision_zoo.data import find_dataset
from vision_zoo.data.image_folder import find_image_folder
from vision_zoo.data.imagenette import FOLDERS

ROOT = Path(__file__).resolve().parents[2]
_A_CLASS = 100
_WRONG = 0.05
_COPIES = 50
"""Of each kind."""


def _imagenette(folder: Path, data_dir: Path) -> None:
    source = find_image_folder(data_dir / "imagenette")
    if source is None:
        sys.exit(f"error: {data_dir} has no imagenette; expected imagenette/imagenette2-160.tgz")
    with tarfile.open(source) as tar:
        members = {PurePosixPath(member.name).parts[-3:]: member for member in tar if member.isfile()}
        chosen = []
        for name in FOLDERS:
            chosen += sorted(path for path in members if path[:2] == ("train", name))[:_A_CLASS]
        for path in sorted(chosen, key=lambda path: members[path].offset):  # reading back is slow
            content = tar.extractfile(members[path])
            assert content is not None
            target = folder / FOLDERS[path[1]] / path[2]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.read())


def _cifar10(folder: Path, data_dir: Path) -> None:
    dataset = find_dataset("cifar10")
    split = dataset.load(data_dir).train
    for number, label in enumerate(dataset.labels):
        (folder / label).mkdir(parents=True)
        for index in np.flatnonzero(np.asarray(split.labels) == number)[:_A_CLASS]:
            Image.fromarray(np.asarray(split.images[index])).save(folder / label / f"{index:05d}.png")


_SOURCES: dict[str, Callable[[Path, Path], None]] = {"imagenette": _imagenette, "cifar10": _cifar10}


def _pictures(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*"))


def _with_label_errors(folder: Path, seed: int) -> set[str]:
    """Move some pictures to another class; their new names."""
    chance = np.random.default_rng(seed)
    names = _pictures(folder)
    labels = sorted({name.partition("/")[0] for name in names})
    wrong = set()
    for index in chance.permutation(len(names))[: round(_WRONG * len(names))]:
        label, _, name = names[index].partition("/")
        other = labels[(labels.index(label) + int(chance.integers(1, len(labels)))) % len(labels)]
        moved = f"{other}/{label}-{name}"
        (folder / names[index]).rename(folder / moved)
        wrong.add(moved)
    return wrong


def _reencoded(picture: Image.Image, chance: np.random.Generator) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=int(chance.integers(50, 96)))
    return Image.open(file).convert("RGB")


def _resized(picture: Image.Image, chance: np.random.Generator) -> Image.Image:
    factor = chance.uniform(0.5, 0.9)
    width, height = (max(1, round(side * factor)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def _cropped(picture: Image.Image, chance: np.random.Generator) -> Image.Image:
    width, height = (round(side * chance.uniform(0.9, 1)) for side in picture.size)
    left = int(chance.integers(0, picture.width - width + 1))
    top = int(chance.integers(0, picture.height - height + 1))
    return picture.crop((left, top, left + width, top + height))


def _mirrored(picture: Image.Image, _chance: np.random.Generator) -> Image.Image:
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def _all_at_once(picture: Image.Image, chance: np.random.Generator) -> Image.Image:
    return _mirrored(_resized(_cropped(_reencoded(picture, chance), chance), chance), chance)


_CHANGES = {
    "re-encoded": _reencoded,
    "resized": _resized,
    "cropped": _cropped,
    "mirrored": _mirrored,
    "all at once": _all_at_once,
}


def _with_copies(folder: Path, seed: int) -> dict[str, tuple[str, str]]:
    """Add changed copies; by name, the picture that each is made of and the kind of change."""
    chance = np.random.default_rng(seed)
    names = _pictures(folder)
    copies: dict[str, tuple[str, str]] = {}
    kinds = [kind for kind in _CHANGES for _ in range(_COPIES)]
    for kind, index in zip(kinds, chance.permutation(len(names)), strict=False):
        original = names[index]
        copy = f"{original.partition('/')[0]}/copy-{len(copies):03d}.jpg"
        with Image.open(folder / original) as picture:
            _CHANGES[kind](picture.convert("RGB"), chance).save(folder / copy, quality=90)
        copies[copy] = (original, kind)
    return copies


def _measured_label_errors(folder: Path, out: Path, row: AuditMeasurement) -> AuditMeasurement:
    wrong = _with_label_errors(folder, row.seed)
    audited = audit(folder, out=out, progress=False)
    listed = _named(audited, "label-errors")
    first = set(listed[: len(wrong)])
    check = audited.document.label_check
    return replace(
        row,
        planted=len(wrong),
        listed=len(listed),
        precision=len(first & wrong) / max(1, len(first)),
        recall=len(first & wrong) / len(wrong),
        agreement=None if check is None else check.agreement,
        seconds=audited.document.seconds,
        cpu_seconds=audited.document.cpu_seconds,
    )


def _measured_copies(folder: Path, out: Path, row: AuditMeasurement) -> AuditMeasurement:
    copies = _with_copies(folder, row.seed)
    audited = audit(folder, out=out, progress=False)
    groups = [
        set(entry.files)
        for name in ("duplicates", "duplicates-across-classes")
        if name in audited.findings
        for entry in audited.findings[name].entries
    ]
    found = {
        copy for copy, (original, _) in copies.items() if any({copy, original} <= group for group in groups)
    }
    planted = {*copies, *(original for original, _ in copies.values())}
    listed = set().union(*groups)
    kinds = {copy: kind for copy, (_, kind) in copies.items()}
    return replace(
        row,
        planted=len(copies),
        listed=len(listed),
        precision=len(listed & planted) / max(1, len(listed)),
        recall=len(found) / len(copies),
        recall_by_kind={
            kind: sum(kinds[copy] == kind for copy in found) / _COPIES for kind in _CHANGES
        },
        false_fraction=len(listed - planted) / (row.pictures - len(copies)),
        seconds=audited.document.seconds,
        cpu_seconds=audited.document.cpu_seconds,
    )  # fmt: skip


def _named(audited: Audit, name: str) -> list[str]:
    if name not in audited.findings:
        return []
    return [file for entry in audited.findings[name].entries for file in entry.files]


def main() -> None:
    """Measure what is not there yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--datasets", nargs="*", choices=_SOURCES, default=list(_SOURCES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results-dir", type=Path, default=ROOT / "results")
    chosen = parser.parse_args()
    data_dir = Path(os.environ.get("VISION_ZOO_DATA") or sys.exit("error: set VISION_ZOO_DATA"))
    path = result_path(chosen.results_dir, describe(), "own_folder_audit")
    result = json_file.read_if_present(path, OwnFolderAuditResult) or OwnFolderAuditResult(
        environment=describe()
    )
    for dataset in chosen.datasets:
        with tempfile.TemporaryDirectory() as temporary:
            source = Path(temporary) / "source"
            for seed in range(chosen.seeds):
                for defect in ("label errors", "near duplicates"):
                    known = {(row.dataset, row.defect, row.seed) for row in result.rows}
                    if (dataset, defect, seed) in known:
                        continue
                    if not source.is_dir():
                        _SOURCES[dataset](source, data_dir)
                    folder = Path(temporary) / "pictures"
                    shutil.copytree(source, folder)
                    os.environ["XDG_CACHE_HOME"] = (
                        f"{temporary}/cache-{defect}-{seed}"  # features are computed anew
                    )
                    row = AuditMeasurement(
                        dataset=dataset, defect=defect, seed=seed, pictures=len(_pictures(folder))
                    )
                    measure = _measured_label_errors if defect == "label errors" else _measured_copies
                    result = replace(
                        result, rows=[*result.rows, measure(folder, Path(temporary) / "out", row)]
                    )
                    shutil.rmtree(folder)
                    write_result(path, result)
                    print(result.rows[-1], file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
