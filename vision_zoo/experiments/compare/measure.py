"""Measurement of a trained candidate: export, verification, latency, accuracy and robustness."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vision_zoo.benchmark.cold import measure_cold
from vision_zoo.core.choices import Precision
from vision_zoo.core.environment import usable_cores
from vision_zoo.core.scenarios import offline, single_stream
from vision_zoo.core.statistics import (
    accuracy_by_class,
    accuracy_interval,
    calibration_error,
    mean_interval,
)
from vision_zoo.data.dataset import Split, Splits
from vision_zoo.experiments.compare.budget import BudgetProgress
from vision_zoo.experiments.compare.document import ComparedModel
from vision_zoo.experiments.compare.place import Place, stopped_early
from vision_zoo.experiments.compare.robustness import CORRUPTIONS
from vision_zoo.experiments.compare.search import Standing
from vision_zoo.experiments.compare.settings import ComparisonSettings
from vision_zoo.exporting.export import export_onnx
from vision_zoo.exporting.verify import Verification
from vision_zoo.serving.session import Session
from vision_zoo.training import train
from vision_zoo.training.run_directory import RunDirectory

_SHORTEST, _SHARE = 0.5, 1 / 60
"""Seconds a runner is timed at least, and the share of the budget at most."""
_CALLS_FOR_P99 = 1000
_PERTURBED_IMAGES, _FEWEST_PERTURBED = 2000, 50
_PERTURBED_SHARE = 1 / 40  # of the budget, the most for one model's perturbed images
SCENARIOS = 2
"""How often a model is timed: one image after the other, and on all cores."""


@dataclass(frozen=True, eq=False)
class ReadyModel:
    """An exported and verified file that nothing but its accuracy is known of.

    `verification` is of its export, `right` says which test images it gets right and `confidences` how sure it is,
    `[images]` each. `cross_validated` says it of the training images of a cross-validation, None without one.
    """

    standing: Standing
    precision: Precision
    session: Session
    verification: Verification
    right: NDArray[np.bool_]
    confidences: NDArray[np.float64]
    cross_validated: NDArray[np.bool_] | None

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())


@dataclass(frozen=True, eq=False)
class MeasuredModel:
    """An exported file: what the page and the JSON show of it, and which images it gets right, as a `ReadyModel`."""

    figures: ComparedModel
    right: NDArray[np.bool_]
    cross_validated: NDArray[np.bool_] | None = None


def exported(
    standing: Standing,
    precision: Precision,
    settings: ComparisonSettings,
    place: Place,
    test: Split,
    progress: BudgetProgress,
) -> ReadyModel:
    """Finish, export, verify and score a candidate's run with seed 0.

    Raises:
        ExportError: the file does not predict what the checkpoint predicts.
    """
    recipe = standing.candidate.recipe
    run = RunDirectory(place.run(recipe))
    progress.describe(f"{recipe.architecture}: export and verification")
    train.finish(
        run.path, device=place.device, data_dir=place.data_dir, progress=progress.part(recipe.architecture)
    )
    file = export_onnx(
        run.path, place.folder / "models", data_dir=place.data_dir, precision=precision, refitted=False
    )
    session = Session(file.path, provider=settings.provider)
    predicted, confidences = _predictions(session, np.asarray(test.images))
    cross_validated = None
    if precision == "fp32" and run.cross_validation_file.is_file():
        cross_validated = run.predictions(run.cross_validation_file).right
    return ReadyModel(
        standing,
        precision,
        session,
        file.verification,
        predicted == np.asarray(test.labels),
        confidences,
        cross_validated,
    )


def refitted(model: MeasuredModel, ready: ReadyModel, place: Place, splits: Splits) -> MeasuredModel:
    """Put a file in the place of a measured one that is fitted to what that was scored on, too, where the run has it.

    Raises:
        ExportError: the file does not predict what the checkpoint predicts.
    """
    run = RunDirectory(place.run(ready.standing.candidate.recipe))
    if not run.refitted.is_file():
        return model
    export_onnx(
        run.path,
        place.folder / "models",
        data_dir=place.data_dir,
        precision=ready.precision,
        scored=ready.verification,
    )
    images = sum(len(split) for name, split in splits.named().items() if name != "test" or splits.drawn)
    return replace(model, figures=replace(model.figures, refitted_images=images))


def measured(
    ready: ReadyModel,
    settings: ComparisonSettings,
    place: Place,
    test: Split,
    progress: BudgetProgress,
    *,
    brief: bool = False,
) -> MeasuredModel:
    """Measure latency, throughput, memory and robustness; `brief` is for latency alone, within a second."""
    session, right, candidate = ready.session, ready.right, ready.standing.candidate
    run = RunDirectory(place.run(candidate.recipe))
    progress.describe(f"{candidate.architecture}: latency and robustness")
    image = np.zeros((1, *session.metadata.input.shape), dtype=np.uint8)
    inside = progress.part(candidate.architecture)
    seconds = _SHORTEST if brief else timing_seconds(candidate.p50_ms, settings)
    single = single_stream(
        {session.name: lambda: session.predict(image)}, batch_size=1, seconds=seconds, progress=inside
    )[session.name]
    throughput = single
    if not brief:
        throughput = offline(
            lambda: session.predict(image),
            batch_size=1,
            seconds=seconds,
            callers=usable_cores(),
            progress=inside,
        )
    p50_ms = single.milliseconds[50] or 0.0
    interval = accuracy_interval(int(right.sum()), len(right))
    seeds = seed_accuracies(ready.standing, settings, place)
    over_seeds = mean_interval(list(seeds.values()))
    over_seeds = None if over_seeds is None else over_seeds.clipped()
    labels = session.metadata.labels
    shares = accuracy_by_class(np.asarray(test.labels), right, classes=len(labels))
    return MeasuredModel(
        ComparedModel(
            model=session.name,
            architecture=candidate.architecture,
            precision=ready.precision,
            path=str(session.path),
            test_accuracy=ready.accuracy,
            test_images=len(right),
            accuracy_interval=(interval.low, interval.high),
            seed_accuracies=seeds,
            seed_interval=None if over_seeds is None else (over_seeds.low, over_seeds.high),
            validation_accuracy=ready.standing.validation_accuracy if candidate.is_validated else None,
            epochs=run.metrics().epochs,
            came_to_its_end=_came_to_its_end(run),
            train_seconds=run.metrics().all_train_seconds,
            p50_ms=p50_ms,
            p99_ms=single.milliseconds.get(99),
            images_per_second=throughput.images_per_second,
            provider=session.provider,
            size_mb=session.size / 2**20,
            memory_mib=None if brief else _memory(session, settings),
            parameters=session.metadata.parameters,
            calibration_error=calibration_error(ready.confidences, right),
            class_accuracies={
                label: None if np.isnan(share) else float(share)
                for label, share in zip(labels, shares, strict=True)
            },
            robustness={}
            if brief
            else _robustness(session, test.spread(perturbed_images(len(test), p50_ms, settings))),
        ),
        right,
        ready.cross_validated,
    )


def _memory(session: Session, settings: ComparisonSettings) -> float | None:
    return measure_cold(session.path, provider=settings.provider, threads=1).memory_mib


def timing_seconds(p50_ms: float, settings: ComparisonSettings) -> float:
    """How long a model is timed in each scenario: enough for a p99, within a share of the budget."""
    enough = 1.1 * _CALLS_FOR_P99 * p50_ms / 1000
    return max(_SHORTEST, min(enough, _SHARE * settings.budget_seconds))


def seed_accuracies(standing: Standing, settings: ComparisonSettings, place: Place) -> dict[int, float]:
    """By seed, the test accuracy of every run of the candidate that has ended."""
    found = {}
    for seed in range(settings.seeds):
        recipe = standing.candidate.recipe.override(seed=seed)
        run = RunDirectory(place.run(recipe))
        if run.finished:
            found[seed] = run.metrics().test_accuracy
    return found


def _came_to_its_end(run: RunDirectory) -> bool:
    """Whether early stopping or the last epoch ended the run, not the budget."""
    return run.metrics().epochs >= run.recipe().stopping.epochs or stopped_early(run)


def _predictions(
    session: Session, images: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Classes and their probabilities, `[images]` each."""
    probabilities = session.predict_all(images).probabilities.astype(np.float64)
    return probabilities.argmax(axis=1), probabilities.max(axis=1)


def perturbed_images(test_images: int, p50_ms: float, settings: ComparisonSettings) -> int:
    """How many test images are perturbed in every way: all of them where they are few and the model is fast."""
    seconds = _PERTURBED_SHARE * settings.budget_seconds
    affordable = int(seconds / ((1 + len(CORRUPTIONS)) * max(p50_ms, 1e-3) / 1000))
    return min(test_images, _PERTURBED_IMAGES, max(_FEWEST_PERTURBED, affordable))


def _robustness(session: Session, chosen: Split) -> dict[str, float]:
    """Accuracy on test images as they are and perturbed."""
    images, labels = np.asarray(chosen.images), np.asarray(chosen.labels)
    scores = {"as they are": float((_predictions(session, images)[0] == labels).mean())}
    for name, change in CORRUPTIONS.items():
        scores[name] = float((_predictions(session, change(images))[0] == labels).mean())
    return scores
