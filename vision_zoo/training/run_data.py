"""The data of a run: recorded at the start of training, compared with data that is loaded later.

labels.json   labels in their order, input format, name and content hash of the dataset
split.csv     every image's split, file (or index), label, and the hash of its content where it is a user's file
"""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from vision_zoo.core import atomic, json_file
from vision_zoo.core.errors import DataError, RunError
from vision_zoo.core.tables import csv_lines
from vision_zoo.data import refuse_path
from vision_zoo.data.dataset import Dataset, Splits, require_folder
from vision_zoo.data.differences import FileRow, differences
from vision_zoo.data.folder_contents import Contents, load_contents, pictures_below, read_contents
from vision_zoo.data.layout import read_layout
from vision_zoo.data.own_folder import folder_path, is_own_folder
from vision_zoo.data.scan import portable
from vision_zoo.data.split_rule import LEFT_OUT, SplitRule
from vision_zoo.images.preprocess import InputFormat
from vision_zoo.recipes.folder_settings import dataset_of
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training.loader import training_splits
from vision_zoo.training.run_directory import RunDirectory

_COLUMNS = ("split", "file", "label", "sha256")


@dataclass(frozen=True, kw_only=True)
class _LabelsFile:
    schema: Literal[1] = 1
    dataset: str
    sha256: str
    labels: tuple[str, ...]
    input: InputFormat

    def __post_init__(self) -> None:
        if not self.labels or len(set(self.labels)) < len(self.labels):
            raise ValueError("no labels, or one twice")


@dataclass(frozen=True, kw_only=True)
class RecordedData(_LabelsFile):
    """What labels.json and split.csv say."""

    rows: tuple[FileRow, ...]

    def save(self, run: RunDirectory) -> None:
        """Write both files.

        Raises:
            StorageError: they cannot be written.
        """
        about = json_file.fields_of(self)
        del about["rows"]
        atomic.write_text(run.split_file, csv_lines([_COLUMNS, *self.rows]))
        json_file.write(run.labels_file, about, indent=2)


def data_to_record(dataset: Dataset, splits: Splits, recipe: Recipe) -> RecordedData:
    """What a run of `recipe` on `splits` has to keep."""
    rows = []
    for name, split in {**splits.named(), **training_splits(splits, recipe)}.items():
        labels = [dataset.labels[number] for number in np.asarray(split.labels)]
        if split.files:
            rows += [
                FileRow(name, file.name, label, file.sha256)
                for file, label in zip(split.files, labels, strict=True)
            ]
        else:
            rows += [FileRow(name, str(index), label, "") for index, label in enumerate(labels)]
    rows += [FileRow(LEFT_OUT, file.name, "", file.sha256) for file in splits.skipped]
    return RecordedData(
        dataset=dataset.name,
        labels=dataset.labels,
        input=dataset.input,
        sha256=splits.sha256,
        rows=tuple(rows),
    )


def read_recorded(run: RunDirectory) -> RecordedData | None:
    """What `run` was trained with; None for a run of an earlier version, which says less.

    Raises:
        RunError: the files are damaged, or one of them is missing.
    """
    if not run.labels_file.exists() and not run.split_file.exists():
        return None
    hint = "restore it, or train again with another --out"
    about = json_file.read(run.labels_file, _LabelsFile, hint=hint)
    try:
        with run.split_file.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        if tuple(header) != _COLUMNS:
            raise ValueError("other columns")
        return RecordedData(**vars(about), rows=tuple(FileRow(*row) for row in rows))
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise RunError(f"{run.split_file} is missing or damaged ({error}); {hint}") from error


def load_for_run(
    run: RunDirectory, recipe: Recipe, *, data_dir: Path | None, dataset: str | None = None
) -> tuple[Dataset, Splits]:
    """The data that `run` was trained with, and its dataset with the labels and the input format of then.

    Built-in data is in `data_dir`, without it in the run's own data folder. `dataset` is `folder:PATH` where a folder
    was moved; a `data_dir` that holds a folder of the old one's name, or that is the folder itself, will do as well.

    Raises:
        DataError: the data is not there.
        RunError: it is not what the run was trained with; the message says what differs.
    """
    recorded = read_recorded(run)
    named = recipe.data.dataset if dataset is None else dataset
    if is_own_folder(named) != is_own_folder(recipe.data.dataset) or (
        named != recipe.data.dataset and not is_own_folder(named)
    ):
        if is_own_folder(recipe.data.dataset):
            refuse_path(named)
        raise RunError(f"{run.path} was trained on {recipe.data.dataset}, not on {named}; omit --dataset")
    if not is_own_folder(named):
        kept = run.environment().data_dir
        return _built_in(run, recipe, recorded, data_dir or (Path(kept) if kept else None))
    path = folder_path(named)
    if dataset is None and data_dir is not None:
        require_folder(data_dir, recipe.data.dataset)
        path = _moved_below(data_dir, path, recorded) or path
    return _own(run, recipe, recorded, path)


def _built_in(
    run: RunDirectory, recipe: Recipe, recorded: RecordedData | None, data_dir: Path | None
) -> tuple[Dataset, Splits]:
    dataset = dataset_of(recipe.data)
    splits = dataset.load(data_dir)
    require_recorded(run, recipe, dataset, splits)
    if recorded is not None:
        dataset = replace(dataset, labels=recorded.labels, input=recorded.input)
    return dataset, splits


def _own(
    run: RunDirectory, recipe: Recipe, recorded: RecordedData | None, path: Path
) -> tuple[Dataset, Splits]:
    if not path.is_dir():
        raise DataError(
            f"{portable(str(path))}, on which {run.path} was trained, does not exist; restore it, or pass its new "
            "location with --dataset folder:PATH"
        )
    try:
        contents = read_contents(read_layout(path))
    except DataError:
        _refuse(run, recorded, pictures_below(path), path)
        raise
    _refuse(run, recorded, _rows_of(contents), path)
    settings = replace(recipe.data, dataset=f"folder:{path}")
    dataset = dataset_of(settings, target=None if recorded is None else recorded.input)
    if recorded is not None:
        dataset = replace(dataset, name=recorded.dataset, labels=recorded.labels)
    if recorded is not None and recipe.data.split_rule != SplitRule():
        # The split is the run's own: the file that gave it, or the rule, may be another one by now.
        splits = load_contents(contents, dataset.labels, dataset.input, SplitRule(file=run.split_file))
        drawn = recipe.data.split is None and not contents.layout.split
        splits = replace(splits, sha256=recorded.sha256, drawn=drawn)
    else:
        splits = load_contents(contents, dataset.labels, dataset.input, recipe.data.split_rule)
    dataset.check(splits)
    require_recorded(run, recipe, dataset, splits)
    return dataset, splits


def _rows_of(contents: Contents) -> list[FileRow]:
    return [
        FileRow(picture.split, picture.file.name, picture.label, picture.sha256)
        for picture in contents.pictures
    ]


def _refuse(run: RunDirectory, recorded: RecordedData | None, rows: Sequence[FileRow], path: Path) -> None:
    """Raise RunError where the files are not those that the run was trained with."""
    found = [] if recorded is None else differences(recorded.rows, rows)
    if found:
        raise _not_the_same(run, portable(str(path)), "; ".join(found))


def _not_the_same(run: RunDirectory, data: str, what: str, *, own: bool = True) -> RunError:
    where = "--dataset folder:PATH" if own else "--data-dir"
    return RunError(
        f"{data} is not what {run.path} was trained on: {what}; restore it, pass a matching copy with {where}, or "
        "train again with another --out"
    )


def require_recorded(run: RunDirectory, recipe: Recipe, dataset: Dataset, splits: Splits) -> None:
    """Raise RunError where `splits` are not what `run` was trained with.

    Of a run of an earlier version only the content's hash is known, and the labels of its test images.
    """
    recorded = read_recorded(run)
    if recorded is None:
        _require_environment(run, recipe, splits)
        return
    now = data_to_record(dataset, splits, recipe)
    have_files = bool(splits.train.files) and not recorded.rows[0].file.isdigit()
    found = differences(recorded.rows, now.rows) if have_files else []
    if not found and recorded.labels != dataset.labels:
        found = ["the classes are in another order"]
    if not found and recorded.sha256 != splits.sha256:
        found = ["the hash of the content differs"]
    if not found and recorded.rows != now.rows:
        found = ["other files are in the test or validation split, or could be read"]
    if found:
        raise _not_the_same(
            run, recipe.data.dataset, "; ".join(found), own=is_own_folder(recipe.data.dataset)
        )
    _require_environment(run, recipe, splits)


def require_runs_on(folder: Path, data_of: Callable[[Recipe], tuple[Dataset, Splits]]) -> None:
    """Raise RunError where a run in a sub-folder of `folder` was trained on other data than `data_of` gives for it.

    For searches and comparisons, which go on with the runs that they find.
    """
    for file in sorted(folder.glob("*/recipe.json")):
        run = RunDirectory.open(file.parent)
        dataset, splits = data_of(run.recipe())
        if not _has_hash(run, dataset, splits):
            require_recorded(run, run.recipe(), dataset, splits)


def _has_hash(run: RunDirectory, dataset: Dataset, splits: Splits) -> bool:
    """Whether labels.json names this content and these labels: a short look, without every image's row."""
    try:
        about = json_file.read(run.labels_file, _LabelsFile)
    except RunError:
        return False
    return (about.sha256, about.labels) == (splits.sha256, dataset.labels)


def _require_environment(run: RunDirectory, recipe: Recipe, splits: Splits) -> None:
    data = run.environment().data
    if not splits.has_content(None if data is None else data.sha256):
        what = "the hash of the files and their names differs"
        raise _not_the_same(run, recipe.data.dataset, what, own=is_own_folder(recipe.data.dataset))
    if run.predictions_file.is_file() and not np.array_equal(
        run.predictions().labels, np.asarray(splits.test.labels)
    ):
        what = "the test split differs"
        raise _not_the_same(run, recipe.data.dataset, what, own=is_own_folder(recipe.data.dataset))


def _moved_below(data_dir: Path, old: Path, recorded: RecordedData | None) -> Path | None:
    """The folder in `data_dir` that may be the one that was moved: of its name, or with its classes."""
    if recorded is None:
        return data_dir / old.name if (data_dir / old.name).is_dir() else None
    tops = {row.file.split("/")[0] for row in recorded.rows}
    for candidate in (data_dir / old.name, data_dir):
        if candidate.is_dir() and tops & {portable(entry.name) for entry in candidate.iterdir()}:
            return candidate
    return None
