"""Runs: train one, go on with it, report on it, export it. Needs torch, once a function is called."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_zoo.api.arguments import checked, optional_path, progress_shown
from vision_zoo.core.bounds import require_choice
from vision_zoo.core.choices import DEVICES

if TYPE_CHECKING:
    from vision_zoo.core.class_metrics import ClassMetrics
    from vision_zoo.recipes.recipe import Recipe
    from vision_zoo.training.run_outputs import TrainResult


@dataclass(frozen=True)
class FinishedRun:
    """A finished run.

    Attributes:
        path: The run directory.
        recipe: Name of its recipe.
        accuracy: Fraction of the test images that are classified correctly.
        seconds: Duration of training.
        epochs: Epochs trained.
        top_5_accuracy: Fraction of the test images whose label is among the five most probable; None for five classes or
            fewer.
        classes: Precision, recall and F1 of each class.
    """

    path: Path
    recipe: str
    accuracy: float
    seconds: float
    epochs: int
    top_5_accuracy: float | None = None
    classes: "tuple[ClassMetrics, ...]" = ()


@dataclass(frozen=True)
class ExportedFile:
    """An exported file, and how it compares with its checkpoint on the test split.

    Attributes:
        path: The ONNX file.
        accuracy: Fraction of the test images that the file classifies correctly.
        checkpoint_accuracy: The same of the checkpoint.
        argmax_agreement: Fraction of the test images for which both predict the same class.
        max_logit_difference: Largest absolute difference of a logit.
        images: Number of test images.
        replaced: Whether the file replaced another one.
        triton: Folder of the model in a Triton repository, if one was requested.
        embeddings: Width of the output `embeddings`, if the file has it.
        refitted: Whether the file was also fitted to the test images, after both accuracies were measured without them.
    """

    path: Path
    accuracy: float
    checkpoint_accuracy: float
    argmax_agreement: float
    max_logit_difference: float
    images: int
    replaced: bool
    triton: Path | None
    embeddings: int | None = None
    refitted: bool = False


def _finished(result: "TrainResult") -> FinishedRun:
    return FinishedRun(
        path=result.path,
        recipe=result.recipe,
        accuracy=result.test_accuracy,
        seconds=result.train_seconds,
        epochs=result.epochs,
        top_5_accuracy=result.top_5_accuracy,
        classes=result.classes,
    )


@checked
def train(
    recipe: "str | Path | Recipe | None" = None,
    *,
    architecture: str | None = None,
    dataset: str | None = None,
    image_size: int | None = None,
    pretrained: str | Path | None = None,
    transfer: str | Path | None = None,
    distil: str | Path | None = None,
    device: str = "auto",
    data_dir: str | Path | None = None,
    out: str | Path | None = None,
    progress: bool = True,
    **changes: Any,
) -> FinishedRun:
    """Train a recipe into a run directory: `out`, or `runs/<recipe>`.

    `recipe` is a name, the path of a TOML file or a `Recipe`; instead of it, `architecture` and `dataset` (a name or
    `folder:PATH`) may be given together. `distil` is a finished run on the same data, whose probabilities are learnt.
    `changes` are settings of the recipe by their names in recipe.json, such as `epochs`, `learning_rate` and `rotation`.

    Raises:
        UsageError: arguments that contradict each other or are out of range.
        UnknownNameError: no such recipe, architecture or dataset.
        DataError, DeviceError, Interrupted, MissingExtraError, PluginError, RunError, StorageError, TrainingError:
            see `core.errors`.
    """
    chosen_device = require_choice("device", device, DEVICES)
    transfer, teacher = optional_path(transfer), optional_path(distil)
    chosen = chosen_recipe(
        recipe,
        architecture,
        dataset,
        image_size=image_size,
        transfer=transfer,
        teacher=teacher,
        changes=changes,
    )
    from vision_zoo.training import train as training

    with progress_shown(progress) as shown:
        result = training.start(
            chosen,
            optional_path(out) or training.default_path(chosen),
            device=chosen_device,
            data_dir=optional_path(data_dir),
            progress=shown,
            pretrained=optional_path(pretrained),
            transfer=transfer,
            teacher=teacher,
        )
    return _finished(result)


def chosen_recipe(
    recipe: "str | Path | Recipe | None",
    architecture: str | None,
    dataset: str | None,
    *,
    image_size: int | None,
    transfer: Path | None,
    teacher: Path | None,
    changes: Mapping[str, Any],
) -> "Recipe":
    """The recipe that `train` is asked for; raises as it does for arguments and names."""
    from vision_zoo.recipes import choose_recipe
    from vision_zoo.recipes.distillation import distilled

    given = {
        "frozen": None if transfer is None else True,
        "distil_from": None if teacher is None else teacher.name,
    }
    chosen = choose_recipe(recipe, architecture, dataset, image_size=image_size, changes=changes, given=given)
    if transfer is not None and chosen.transfer_from is None:
        chosen = chosen.override(transfer_from=transfer.name, frozen=True)
    if teacher is not None and chosen.distillation.distil_from is None:
        chosen = distilled(chosen, teacher.resolve().name)
    return chosen


@checked
def resume(
    run: str | Path,
    *,
    epochs: int | None = None,
    dataset: str | None = None,
    device: str = "auto",
    data_dir: str | Path | None = None,
    progress: bool = True,
) -> FinishedRun:
    """Continue an interrupted run in place; a finished one is returned as it is.

    With `epochs`, a finished run is continued too, and becomes what one that was started with that number is. `dataset`
    is `folder:PATH` where the run's folder of pictures was moved.

    Raises:
        RunError: no run is there, it is damaged, or the data is not what it was trained on.
        DataError, DeviceError, Interrupted, MissingExtraError, StorageError, TrainingError, UsageError:
            see `core.errors`.
    """
    chosen_device = require_choice("device", device, DEVICES)
    from vision_zoo.training import train as training

    with progress_shown(progress) as shown:
        result = training.resume(
            Path(run),
            device=chosen_device,
            data_dir=optional_path(data_dir),
            dataset=dataset,
            epochs=epochs,
            progress=shown,
        )
    return _finished(result)


@checked
def export(
    run: str | Path,
    output_dir: str | Path = "exported",
    *,
    precision: str = "fp32",
    weights: str = "fp32",
    embeddings: bool = False,
    triton: str | Path | None = None,
    dataset: str | None = None,
    data_dir: str | Path | None = None,
    progress: bool = True,
) -> ExportedFile:
    """Export a finished run to an ONNX file in `output_dir`, verified on the whole test split.

    `precision` is what the graph computes in and `weights` how a graph in fp32 stores large weights: `fp32`, `fp16` or
    `int8`. With `embeddings` the file has a third output, what the last dense layer takes. `triton` is a Triton model
    repository to add the file to. `dataset` is `folder:PATH` where the run's folder of pictures was moved.

    Raises:
        ExportError: the file does not predict what the checkpoint predicts; nothing is written.
        RunError: no finished run is there, or the data is not what it was trained on.
        DataError, MissingExtraError, PluginError, StorageError, UsageError: see `core.errors`.
    """
    from vision_zoo.artifact.metadata import PRECISIONS

    computed = require_choice("precision", precision, PRECISIONS)
    stored = require_choice("weights", weights, PRECISIONS)
    from vision_zoo.exporting.export import export_onnx
    from vision_zoo.serving.triton import add_model

    with progress_shown(progress) as shown:
        exported = export_onnx(
            Path(run),
            Path(output_dir),
            data_dir=optional_path(data_dir),
            dataset=dataset,
            precision=computed,
            weights=stored,
            embeddings=embeddings,
            progress=shown,
        )
    verification = exported.verification
    return ExportedFile(
        path=exported.path,
        accuracy=verification.accuracy,
        checkpoint_accuracy=verification.checkpoint_accuracy,
        argmax_agreement=verification.argmax_agreement,
        max_logit_difference=verification.max_logit_difference,
        images=verification.images,
        replaced=exported.replaced,
        embeddings=exported.embeddings,
        refitted=exported.refitted,
        triton=None if triton is None else add_model(Path(triton), exported.path),
    )


@checked
def report(
    run: str | Path,
    out: str | Path | None = None,
    *,
    dataset: str | None = None,
    data_dir: str | Path | None = None,
) -> Path:
    """Write the report of a finished run, one HTML page, to `out` or to `report.html` in the run; returns its path.

    The page has settings, curves, the confusion matrix with the images of each cell, the most confident mistakes,
    calibration, per-class metrics and top-k accuracy. `dataset` is `folder:PATH` where the run's folder of pictures was
    moved.

    Raises:
        RunError: no finished run is there, or the data is not what it was trained on.
        DataError, MissingExtraError, StorageError: see `core.errors`.
    """
    from vision_zoo.training.run_report import write_report

    return write_report(Path(run), optional_path(out), data_dir=optional_path(data_dir), dataset=dataset)
