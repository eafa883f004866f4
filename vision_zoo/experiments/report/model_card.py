"""Model cards in the format of the Hugging Face Hub: purpose, data, results and limitations.

Everything in it comes from the exported file, the dataset's entry, the recipe and `results/`.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from vision_zoo.architectures import find_architecture
from vision_zoo.artifact.familiarity import Gaussians
from vision_zoo.artifact.metadata import Metadata
from vision_zoo.core.benchmark_row import BenchmarkRow, row_of_file
from vision_zoo.core.errors import VisionZooError
from vision_zoo.core.results import RecipeResult, ZooResult, load_results
from vision_zoo.core.tables import markdown
from vision_zoo.data import REGISTRY as DATASETS
from vision_zoo.data.dataset import Dataset
from vision_zoo.recipes import RECIPES
from vision_zoo.recipes.options import settings_table
from vision_zoo.serving.session import Session

_LICENCE = "mit"
_LIBRARY = "onnx"


def model_card(path: Path, results_dir: Path | None) -> str:
    """Write the card of the exported model at `path`, as Markdown with front matter.

    `results_dir` holds measured results of the shipped models; without them the card has those in the file.

    Raises:
        ModelError: the file cannot be used.
    """
    from huggingface_hub import EvalResult, ModelCardData

    session = Session(path, provider="cpu")
    metadata = session.metadata
    dataset = dataset_of(metadata)
    data = ModelCardData(
        model_name=session.name,
        license=licence_of(metadata),
        library_name=_LIBRARY,
        pipeline_tag="image-classification",
        tags=["onnx", metadata.architecture, metadata.dataset],
        datasets=[metadata.dataset],
        eval_results=[
            EvalResult(
                task_type="image-classification",
                dataset_type=metadata.dataset,
                dataset_name=metadata.dataset if dataset is None else dataset.title,
                dataset_split="test",
                metric_type="accuracy",
                metric_value=metadata.test_accuracy,
            )
        ],
    )
    sections = [
        f"---\n{data.to_yaml()}\n---",
        _introduction(session.name, metadata, dataset),
        _use(session, path),
        _data(metadata, dataset),
        _pretrained(metadata),
        _training(metadata, known_settings(session, results_dir)),
        _figures(session, results_dir),
        f"## Limitations\n\n{limitations(metadata, gaussians=session.gaussians)}",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def dataset_of(metadata: Metadata) -> Dataset | None:
    """None for a folder of the user, and for a plug-in that is not installed here."""
    try:
        return DATASETS.find(metadata.dataset)
    except VisionZooError:
        return None


def weights_of(metadata: Metadata) -> str | None:
    """The weights that the features of a model start from; None for one from scratch."""
    try:
        return find_architecture(metadata.architecture).weights or None
    except VisionZooError:  # a plug-in that is not installed here
        return None


def licence_of(metadata: Metadata) -> str | None:
    """The licence of a model: that of the weights that it starts from, else ours; None for images of the user's own."""
    if dataset_of(metadata) is None:
        return None
    try:
        return find_architecture(metadata.architecture).licence or _LICENCE
    except VisionZooError:  # a plug-in that is not installed here
        return _LICENCE


def _introduction(name: str, metadata: Metadata, dataset: Dataset | None) -> str:
    of = f"images of `{metadata.dataset}`" if dataset is None else dataset.title
    measured = "before it was fitted to them, too" if metadata.refitted else "with this file"
    return (
        f"# {name}\n\nAn image classifier for {of}: {len(metadata.labels)} classes ({_listed(metadata.labels)}), "
        f"architecture `{metadata.architecture}`, {metadata.parameters:,} parameters, as one ONNX file with its "
        "preprocessing inside. "
        f"{metadata.test_accuracy:.2%} accuracy on {metadata.test_images:,} test images, measured {measured}."
    )


def _use(session: Session, path: Path) -> str:
    image = session.metadata.input
    return (
        "## Use\n\n"
        f"```sh\nvision-zoo predict {path.name} IMAGE\nvision-zoo serve --models-dir {path.parent.name or '.'}\n```\n\n"
        f"The input `image` is uint8 `[batch, {image.height}, {image.width}, {image.channels}]`, the outputs `logits` "
        f"and `probabilities` are float32 `[batch, {len(session.metadata.labels)}]`; any ONNX Runtime can run it. The "
        "metadata of the file describes the preprocessing of other images, which `vision-zoo` applies.\n\n"
        "Intended for learning, teaching and comparison, and as a starting point for similar images."
    )


def _data(metadata: Metadata, dataset: Dataset | None) -> str:
    if dataset is None:
        return f"## Data\n\nImages of `{metadata.dataset}`. Their owner determines their licence and that of the model."
    copy = "" if metadata.data_variant == "original" else f" The copy used here: {metadata.data_variant}."
    source = f" {dataset.source}" if dataset.source else ""
    return f"## Data\n\n{dataset.title}. Licence: {dataset.licence}.{copy}{source}"


def _pretrained(metadata: Metadata) -> str:
    text = pretrained_terms(metadata)
    return f"## Pretrained weights\n\n{text}" if text else ""


def pretrained_terms(metadata: Metadata) -> str:
    """What to know of a model with pretrained weights, in sentences; empty for one from scratch."""
    weights = weights_of(metadata)
    return (
        f"The feature layers start from {weights}. ImageNet's own terms (non-commercial "
        "research and education) may apply to you. On images from ImageNet, such as Imagenette's, the accuracy is "
        "too optimistic."
        if weights
        else ""
    )


def known_settings(session: Session, results_dir: Path | None) -> Mapping[str, Any] | None:
    """The settings that a file was trained with, without defaults, as it says itself.

    Of older files those of their recipe, if `results_dir` has a run of it with their accuracy; None where nobody knows.
    """
    metadata, recipe = session.metadata, RECIPES.get(session.metadata.recipe)
    if metadata.settings is not None or recipe is None or results_dir is None:
        return metadata.settings
    accuracies = [
        entry.checkpoint_accuracy
        for document, _ in _measured(session, results_dir)
        for entry in document.models
        if entry.model == session.name
    ]
    for document in load_results(results_dir, RecipeResult):
        if document.recipe == recipe.name and recipe.has_settings(document.settings):
            found = [run.test_accuracy for run in document.runs]
            if any(math.isclose(*pair, rel_tol=1e-9) for pair in product(found, accuracies)):
                return recipe.settings()
    return None


def _training(metadata: Metadata, settings: Mapping[str, Any] | None) -> str:
    recipe = RECIPES.get(metadata.recipe)
    if settings is None:
        told = "The file does not record its settings"
        if recipe is not None:
            told += ", and no kept run of the recipe as it is now has its accuracy"
        return f"## Training\n\nRecipe `{metadata.recipe}`. {told}."
    is_current = recipe is not None and recipe.settings() == settings
    report = f" An experiment of report {recipe.report}." if recipe is not None and recipe.report else ""
    remark = f" {recipe.remark}" if recipe is not None and is_current and recipe.remark else ""
    about = f"Recipe `{metadata.recipe}`.{report}{remark} Settings that differ from the defaults:"
    return f"## Training\n\n{about}\n\n{markdown(settings_table(settings))}"


def _figures(session: Session, results_dir: Path | None) -> str:
    rows = [
        {"hardware": document.environment.description, **_figure_row(row)}
        for document, row in ([] if results_dir is None else _measured(session, results_dir))
    ]
    own = (
        f"Accuracy {session.metadata.test_accuracy:.2%} on {session.metadata.test_images:,} test images; "
        f"{session.size / 2**20:.2f} MiB; {session.metadata.macs:,} multiply-accumulate operations per image; "
        f"precision {session.metadata.precision}, large weights in {session.metadata.weights}."
    )
    return f"## Results\n\n{own}" + (f"\n\n{markdown(rows)}" if rows else "")


def _measured(session: Session, results_dir: Path) -> Iterator[tuple[ZooResult, BenchmarkRow]]:
    """The measurements of shipped files in which this very file is, and its row in each."""
    accuracy = session.metadata.test_accuracy
    for document in load_results(results_dir, ZooResult):
        row = row_of_file(document.benchmark, session.name, size=session.size, test_accuracy=accuracy)
        if row is not None:
            yield document, row


def _figure_row(row: BenchmarkRow) -> dict[str, Any]:
    return {
        "threads": row.threads,
        "p50 ms": row.p50_ms,
        "p99 ms": row.p99_ms,
        "images per second": round(row.images_per_second),
        "memory, MiB": row.memory_mib,
    }


def limitations(metadata: Metadata, *, gaussians: Gaussians | None) -> str:
    """What a model cannot do, in sentences; `gaussians` are those of familiar images, where its file has them."""
    return (
        "The model assigns every image to one of its classes, possibly with high confidence, even "
        f"if the image belongs to none.{_uncertainty(metadata, gaussians)} The accuracy was measured on test images "
        "from the same source as the training images; expect a lower accuracy on others. The model was not examined for "
        "fairness or safety; do not use it for decisions about people."
    )


def _uncertainty(metadata: Metadata, gaussians: Gaussians | None) -> str:
    calibration = metadata.calibration
    said = ""
    if calibration is not None:
        said = (
            f" Its probabilities and prediction sets are calibrated on {calibration.images:,} images "
            f"({calibration.calibrated_on})."
        )
    if gaussians is not None:
        share = 100 * (1 - gaussians.false_alarms)
        return f"{said} An image that is less like those than {share:g} % of them is flagged as unlike them."
    if metadata.ood_energy_threshold is None:
        return said
    return f"{said} An image whose energy score is worse than that of 98 % of the test images is flagged as unlike them."


def _listed(labels: tuple[str, ...], most: int = 20) -> str:
    return ", ".join(labels[:most]) + (", …" if len(labels) > most else "")
