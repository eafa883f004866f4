"""Exported models: load one, classify images, score it on a dataset, put some into a page. Needs no torch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from vision_zoo.api.arguments import checked, optional_path, progress_shown
from vision_zoo.core.errors import ImageError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vision_zoo.artifact.metadata import Metadata
    from vision_zoo.serving.evaluate import DatasetScore
    from vision_zoo.serving.predict import Picture
    from vision_zoo.serving.session import Session
    from vision_zoo.serving.web.page import WebPage


@dataclass(frozen=True)
class LabelProbability:
    """A label and its probability.

    Attributes:
        label: Name of the class.
        probability: 0 to 1.
    """

    label: str
    probability: float


@dataclass(frozen=True)
class LabelSet:
    """Labels with the true one among them at the stated coverage, the most probable first; `label` is the best.

    `familiar` says whether the image is like those that the model knows; where it is not, `label` is `unknown`. It is
    None where the file cannot tell.
    """

    label: str
    labels: tuple[LabelProbability, ...]
    familiar: bool | None


class Classifier:
    """An exported model, ready to classify, from `load`. Safe to use from several threads at once."""

    def __init__(self, session: "Session") -> None:
        self._session = session

    def __repr__(self) -> str:
        return f"<Classifier {self.name} of {len(self.labels)} labels, {self.provider}>"

    @property
    def name(self) -> str:
        """Name of the model."""
        return self._session.name

    @property
    def path(self) -> Path:
        """The ONNX file."""
        return self._session.path

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels in the order of the model's outputs."""
        return self._session.metadata.labels

    @property
    def provider(self) -> str:
        """The execution provider of ONNX Runtime that runs the model."""
        return self._session.provider

    @property
    def metadata(self) -> "Metadata":
        """What the file says about itself."""
        return self._session.metadata

    @overload
    def classify(self, image: "Picture", *, top: int | None = None) -> tuple[LabelProbability, ...]: ...

    @overload
    def classify(
        self, image: list[Any] | tuple[Any, ...], *, top: int | None = None
    ) -> list[tuple[LabelProbability, ...]]: ...

    @overload
    def classify(self, image: "Picture", *, coverage: float) -> LabelSet: ...

    @overload
    def classify(self, image: list[Any] | tuple[Any, ...], *, coverage: float) -> list[LabelSet]: ...

    @checked
    def classify(
        self,
        image: "Picture | list[Any] | tuple[Any, ...]",
        *,
        top: int | None = None,
        coverage: float | None = None,
    ) -> tuple[LabelProbability, ...] | list[tuple[LabelProbability, ...]] | LabelSet | list[LabelSet]:
        """All labels with their probabilities, the best first; the `top` best where given.

        With a `coverage`, 0.9, 0.95 or 0.99, the answer is a `LabelSet`; the file is calibrated.

        An image is the path of a file, a Pillow image, or an array uint8 `[height, width]`, `[height, width, 1]` or
        `[height, width, 3]` (RGB), of any size: it is prepared as `vision-zoo predict` does. A list or tuple of images is
        answered by a list in the same order.

        Raises:
            ImageError: an image cannot be used; BlankImageError where a model of digits finds none.
            ModelError: the model fails or gives values that are not finite.
            UsageError: `top` is below 1 or together with `coverage`, or the file has no sets of that coverage.
        """
        from vision_zoo.serving.predict import classify, label_sets

        _require_top(top)
        pictures = image if isinstance(image, list | tuple) else [image]
        if coverage is not None:
            if top is not None:
                raise UsageError("coverage returns the labels of a set; omit top")
            sets = [
                LabelSet(
                    label=found.label,
                    labels=tuple(LabelProbability(*one) for one in ranked[: len(found.labels)]),
                    familiar=found.familiar,
                )
                for found, ranked in label_sets(self._session, pictures, coverage)
            ]
            return sets if pictures is image else sets[0]
        answers = [
            tuple(LabelProbability(*labelled) for labelled in ranked)
            for ranked in classify(self._session, pictures, top=top)
        ]
        return answers if pictures is image else answers[0]

    def embed(self, image: "Picture | list[Any] | tuple[Any, ...]") -> "NDArray[np.float32]":
        """What the last dense layer takes of an image, float32 `[width]`; of a list or tuple of them `[n, width]`.

        Images are those of `classify`; the file was exported with embeddings.

        Raises:
            UsageError: the file has no embeddings.
            ImageError, ModelError: as `classify`.
        """
        from vision_zoo.serving.predict import embed

        pictures = image if isinstance(image, list | tuple) else [image]
        embeddings = embed(self._session, pictures)
        return embeddings if pictures is image else embeddings[0]

    @checked
    def classify_files(
        self, *inputs: str | Path, top: int | None = None
    ) -> Iterator[tuple[str, tuple[LabelProbability, ...] | ImageError]]:
        """Classify files, folders and patterns, as `vision-zoo predict` does, while they are read.

        The result has a pair for each image, in a stable order: its name, and its labels as `classify` gives them, or the
        ImageError for which it cannot be used.

        Raises:
            ModelError: the model fails or gives values that are not finite.
            UsageError: `top` is below 1.
        """
        from vision_zoo.serving.pictures import find_pictures
        from vision_zoo.serving.predict import classify_each

        _require_top(top)
        for source, answer in classify_each(self._session, find_pictures(map(str, inputs)), top=top):
            if isinstance(answer, ImageError):
                yield source.name, answer
            else:
                yield source.name, tuple(LabelProbability(*labelled) for labelled in answer.ranked)


def _require_top(top: int | None) -> None:
    if top is not None and top < 1:
        raise UsageError(f"top {top} is out of range; expected 1 or more")


@checked
def load(
    model: str | Path,
    *,
    models_dir: str | Path | None = None,
    provider: str = "auto",
    threads: int | None = None,
) -> Classifier:
    """Load an exported model: the path of an `.onnx` file, or the name of a shipped one or of one in `models_dir`.

    `provider` is `auto`, `cpu`, `cuda` or `tensorrt`; `threads` are of one call, by default those that `optimize` stored
    in the file, else one. Needs no torch.

    Raises:
        UnknownNameError: no model has that name.
        ModelError: the file is missing, damaged, foreign, or not the one that its manifest lists.
        DeviceError: the provider cannot run here.
        UsageError: no such provider, or `threads` is out of range.
    """
    from vision_zoo.serving.models import find_model
    from vision_zoo.serving.session import Session

    return Classifier(
        Session(find_model(str(model), optional_path(models_dir)), provider=provider, threads=threads)
    )


@checked
def evaluate(
    model: str | Path | Classifier,
    dataset: str | None = None,
    *,
    split: str | Path | None = None,
    data_dir: str | Path | None = None,
    models_dir: str | Path | None = None,
    provider: str = "auto",
    progress: bool = True,
) -> "DatasetScore":
    """Score a model on a dataset's test split, or on all pictures of `folder:PATH` where that has no test split.

    `model` is what `load` takes, or a classifier, which keeps its provider. Without `dataset` it is the one that the
    model was trained on, unless that was a folder. The CSV file `split`, such as a run's split.csv, says which pictures
    of a folder are its test split; by default the folder's own file does. The result has `accuracy`, a fraction of
    `images`, and `confusion_matrix`, int64 `[classes, classes]`: rows true, columns predicted.

    Raises:
        UsageError: the model was made for other labels or another input shape, or it was trained on a folder and none is
            given.
        DataError: the data is not there.
        DeviceError, MissingExtraError, ModelError, UnknownNameError: see `core.errors`.
    """
    from vision_zoo.serving.evaluate import dataset_to_score, evaluate_dataset

    chosen = None if dataset is None else dataset_to_score(dataset)
    if not isinstance(model, Classifier):
        model = load(model, models_dir=models_dir, provider=provider)
    with progress_shown(progress) as shown:
        return evaluate_dataset(
            model._session,
            chosen,
            data_dir=optional_path(data_dir),
            progress=shown,
            split_file=optional_path(split),
        )


@checked
def export_html(
    models: str | Path | Sequence[str | Path],
    file: str | Path,
    *,
    runtime: str | Path | None = None,
    models_dir: str | Path | None = None,
) -> "WebPage":
    """Write one HTML page that runs exported models in a browser, without a server or a network. Needs no torch.

    `models` is what `load` takes, or several of them. ONNX Runtime Web is fetched once with npm, unless `runtime` is a
    folder with the unpacked npm package. The result has `path`, `size` in bytes and the names `models`.

    Raises:
        UsageError: no model, or several of one name.
        WebRuntimeError: ONNX Runtime Web cannot be fetched, or `runtime` does not hold it.
        MissingExtraError: it has to be fetched, and there is no npm.
        ModelError, StorageError, UnknownNameError: see `core.errors`.
    """
    from vision_zoo.serving.models import find_model
    from vision_zoo.serving.web.page import write_page

    given = [models] if isinstance(models, str | Path) else models
    paths = [find_model(str(model), optional_path(models_dir)) for model in given]
    return write_page(Path(file), paths, runtime_folder=optional_path(runtime))
