"""Score an exported model on labelled images in ONNX Runtime."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vision_zoo.artifact.metadata import Metadata
from vision_zoo.core.class_metrics import ClassMetrics, class_metrics, top_accuracy
from vision_zoo.core.errors import UnknownNameError, UsageError
from vision_zoo.core.progress import Progress
from vision_zoo.core.statistics import confusion_matrix
from vision_zoo.data import REGISTRY, find_dataset
from vision_zoo.data.dataset import Dataset, Split, report_skipped
from vision_zoo.data.folder_contents import pictures_to_score
from vision_zoo.data.own_folder import FOLDER_NAME, folder_name, folder_path, is_own_folder
from vision_zoo.serving.session import Session


@dataclass(frozen=True, eq=False)
class Score:
    """`accuracy` is a fraction of `images`; `confusion_matrix` `[classes, classes]`: rows true, columns predicted.

    `top_5_accuracy` is None for five classes or fewer.
    """

    accuracy: float
    images: int
    confusion_matrix: NDArray[np.int64]
    top_5_accuracy: float | None
    classes: tuple[ClassMetrics, ...]

    def table(self, labels: Sequence[str]) -> list[dict[str, str]]:
        """The confusion matrix as rows to print, zeros left out."""
        return [
            {"": label} | {column: str(count or "") for column, count in zip(labels, row, strict=True)}
            for label, row in zip(labels, self.confusion_matrix, strict=True)
        ]


@dataclass(frozen=True)
class DatasetScore(Score):
    """Score of `model` on a dataset: on its `split` "test", or on "all" images of a folder without one.

    `labels` are those of the confusion matrix, `provider` the execution provider that ran.
    """

    model: Path
    dataset: str
    split: str
    labels: tuple[str, ...]
    provider: str


def dataset_to_score(name: str) -> Dataset | Path:
    """The dataset called `name` (UnknownNameError), or the folder of `folder:PATH` (UsageError); nothing is loaded."""
    return folder_path(name) if is_own_folder(name) else find_dataset(name)


def own_dataset(metadata: Metadata) -> Dataset:
    """The dataset that a model was trained on; UsageError if that was a folder or a dataset that is not installed."""
    name = metadata.dataset
    try:
        return REGISTRY.find(name)
    except UnknownNameError as error:
        told = (
            f"images in a folder ({name}), but its file does not say where they are; pass --dataset folder:PATH"
            if name.startswith(FOLDER_NAME)
            else f"the dataset {name}, which is not installed; pass --dataset"
        )
        raise UsageError(f"{metadata.recipe} was trained on {told}") from error


def evaluate_dataset(
    session: Session,
    dataset: Dataset | Path | None,
    *,
    data_dir: Path | None,
    progress: Progress,
    split_file: Path | None = None,
) -> DatasetScore:
    """Score `session` on a dataset's test split, or on all pictures of a folder without one.

    Without `dataset` it is the one that the model was trained on. A folder's pictures are brought to the model's input;
    its classes are matched with the labels by name. The CSV file `split_file`, by default the folder's split.csv, says
    which are its test split.

    Raises:
        DataError: the data is not there.
        UsageError: the model was made for other labels or another input shape, or no dataset of its own can be found.
    """
    metadata = session.metadata
    if dataset is None:
        dataset = own_dataset(metadata)
    if isinstance(dataset, Path):
        name, labels = folder_name(dataset), metadata.labels
        split, images = _pictures(dataset, metadata, split_file, progress)
    else:
        if split_file is not None:
            raise UsageError(f"{dataset.name} has fixed splits; --split is only for folder:PATH")
        name, labels = dataset.name, dataset.labels
        split, images = "test", dataset.load(data_dir).test
    score = evaluate(session, images.images, images.labels, labels, progress)
    if isinstance(dataset, Dataset) and dataset.drawn_from == metadata.dataset:
        progress.line(
            f"warning: {name} is a part of {dataset.drawn_from}'s training images, on which {session.name} was "
            "trained: this accuracy says nothing about new images"
        )
    return DatasetScore(
        **vars(score),
        model=session.path,
        dataset=name,
        split=split,
        labels=labels,
        provider=session.provider,
    )


def _pictures(
    path: Path, metadata: Metadata, split_file: Path | None, progress: Progress
) -> tuple[str, Split]:
    """`test` or `all` of the pictures in `path`, with numbers into the model's labels."""
    name, splits = pictures_to_score(path, metadata.labels, metadata.input, split=split_file)
    report_skipped(splits, progress)
    if name == "test" and split_file is None:
        progress.line(f"{path} has its own splits: scoring its test split")
    if folder_name(path) == metadata.dataset and metadata.refitted:
        progress.line(
            f"warning: the model was trained on a folder of this name ({metadata.dataset}), and finally on its test "
            "images, too: if this is that folder, this accuracy says nothing about new images; "
            f"{metadata.test_accuracy:.2%} was measured before, on {metadata.test_images:,} of them"
        )
    elif folder_name(path) == metadata.dataset and name == "all":
        progress.line(
            f"warning: the model was trained on a folder of this name ({metadata.dataset}): if this is that folder, "
            "most of these images are its training images, and this accuracy says nothing about new ones"
        )
    return name, splits.test


def evaluate(
    session: Session,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    names: Sequence[str],
    progress: Progress,
) -> Score:
    """Score `session` on images uint8 `[n, height, width, channels]` with `labels` `[n]` into `names`.

    Raises UsageError if the model was made for other labels or another input shape.
    """
    metadata = session.metadata
    if tuple(names) != metadata.labels:
        raise UsageError(
            f"{session.name} has the labels {_sample(metadata.labels)}, the dataset has {_sample(names)}; "
            f"expected a dataset with the model's labels, such as {metadata.dataset}"
        )
    if images.shape[1:] != metadata.input.shape:
        raise UsageError(
            f"{session.name} takes images of {list(metadata.input.shape)}, the dataset has {list(images.shape[1:])}; "
            f"expected a dataset such as {metadata.dataset}"
        )
    labels = np.asarray(labels)
    progress.start(f"evaluate {session.name}", len(labels), "images")
    predicted = session.predict_all(images, progress=progress)
    matrix = confusion_matrix(labels, predicted.classes, len(names))
    return Score(
        accuracy=float(np.trace(matrix) / matrix.sum()),
        images=len(labels),
        confusion_matrix=matrix,
        top_5_accuracy=top_accuracy(predicted.logits, labels),
        classes=class_metrics(matrix, names),
    )


def _sample(labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:3])
    return f"{len(labels)} labels ({shown}{', …' if len(labels) > 3 else ''})"
