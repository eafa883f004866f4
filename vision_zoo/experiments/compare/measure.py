"""Measurement of a trained candidate: export, verification, latency, accuracy and robustness."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision_zoo.benchmark import BenchmarkSettings, benchmark
from vision_zoo.core.choices import Precision
from vision_zoo.core.statistics import (
    accuracy_by_class,
    accuracy_interval,
    calibration_error,
    mean_interval,
)
from vision_zoo.data.dataset import Split
from vision_zoo.experiments.compare.budget import BudgetProgress
from vision_zoo.experiments.compare.document import ComparedModel
from vision_zoo.experiments.compare.robustness import CORRUPTIONS
from vision_zoo.experiments.compare.search import Place, Standing
from vision_zoo.experiments.compare.settings import ComparisonSettings
from vision_zoo.exporting.export import export_onnx
from vision_zoo.serving.session import Session
from vision_zoo.training import train
from vision_zoo.training.run_directory import RunDirectory

_SHORTEST, _SHARE = 1.0, 1 / 60
"""Seconds a runner is timed at least, and the share of the budget at most."""
_CALLS_FOR_P99 = 1000
_PERTURBED_IMAGES, _FEWEST_PERTURBED = 2000, 50
_PERTURBED_SHARE = 1 / 20  # of the budget, the most for one model's perturbed images
SCENARIOS = ("single-stream", "offline")


@dataclass(frozen=True, eq=False)
class MeasuredModel:
    """An exported file: what the page and the JSON show of it, and which test images it gets right, `[images]`."""

    figures: ComparedModel
    right: NDArray[np.bool_]


def measured(
    standing: Standing,
    precision: Precision,
    settings: ComparisonSettings,
    place: Place,
    test: Split,
    progress: BudgetProgress,
) -> MeasuredModel:
    """Finish, export, verify and measure a candidate's run with seed 0.

    Raises:
        ExportError: the file does not predict what the checkpoint predicts.
    """
    recipe = standing.candidate.recipe
    run = RunDirectory(place.run(recipe))
    progress.describe(f"{recipe.architecture}: export, verification, metrics")
    train.finish(
        run.path, device=place.device, data_dir=place.data_dir, progress=progress.part(recipe.architecture)
    )
    exported = export_onnx(run.path, place.folder / "models", data_dir=place.data_dir, precision=precision)
    session = Session(exported.path, provider=settings.provider)
    rows = benchmark(
        [exported.path],
        BenchmarkSettings(
            providers=(settings.provider,),
            batch_sizes=(1,),
            scenarios=SCENARIOS,
            seconds=timing_seconds(standing.candidate.p50_ms, settings),
        ),
        progress.part(recipe.architecture),
    )
    by_scenario = {row.scenario: row for row in rows if row.engine == "onnxruntime"}
    labels = np.asarray(test.labels)
    predicted, confidences = _predictions(session, np.asarray(test.images))
    right = predicted == labels
    interval = accuracy_interval(int(right.sum()), len(right))
    seeds = seed_accuracies(standing, settings, place)
    over_seeds = mean_interval(list(seeds.values()))
    over_seeds = None if over_seeds is None else over_seeds.clipped()
    metrics = run.metrics()
    single = by_scenario["single-stream"]
    classes = len(session.metadata.labels)
    shares = accuracy_by_class(labels, right, classes=classes)
    return MeasuredModel(
        ComparedModel(
            model=session.name,
            architecture=recipe.architecture,
            precision=precision,
            path=str(exported.path),
            test_accuracy=float(right.mean()),
            test_images=len(right),
            accuracy_interval=(interval.low, interval.high),
            seed_accuracies=seeds,
            seed_interval=None if over_seeds is None else (over_seeds.low, over_seeds.high),
            validation_accuracy=standing.validation_accuracy if standing.candidate.is_validated else None,
            epochs=standing.epochs,
            came_to_its_end=_came_to_its_end(run),
            train_seconds=metrics.all_train_seconds,
            p50_ms=single.p50_ms or 0.0,
            p99_ms=single.p99_ms,
            images_per_second=by_scenario["offline"].images_per_second,
            provider=single.provider,
            size_mb=session.size / 2**20,
            memory_mib=single.memory_mib,
            parameters=session.metadata.parameters,
            calibration_error=calibration_error(confidences, right),
            class_accuracies={
                label: None if np.isnan(share) else float(share)
                for label, share in zip(session.metadata.labels, shares, strict=True)
            },
            robustness=_robustness(
                session, test.spread(perturbed_images(len(test), standing.candidate.p50_ms, settings))
            ),
        ),
        right,
    )


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
    recipe, metrics = run.recipe(), run.metrics()
    waited = metrics.epochs - metrics.best_epoch
    stopping = recipe.stopping
    return metrics.epochs >= stopping.epochs or (
        stopping.patience is not None and waited >= stopping.patience
    )


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
