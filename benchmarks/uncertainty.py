"""How honest calibrated files are: `results/<environment>/uncertainty.json`.

Every shipped model is calibrated in a copy, as `vision-zoo calibrate` does it, and judged on test images that it was not
calibrated on: expected calibration error before and after, coverage of the sets of labels, and how much of foreign data
several scores warn of at 5 % false alarms. Digits and clothes are foreign to each other as they are; photographs are
brought to the model's input. With --latency, the time of one image with a temperature in the graph is compared with that
without, and nothing else. What is measured of other models is kept.

    python -m benchmarks.uncertainty [MODEL...]
    python -m benchmarks.uncertainty --latency [MODEL...]    # on a machine without other work
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import cKDTree
from scipy.stats import betabinom

from vision_zoo.artifact.calibration import Calibration
from vision_zoo.artifact.familiarity import FALSE_ALARMS
from vision_zoo.artifact.metadata import energy
from vision_zoo.core.environment import Environment, describe
from vision_zoo.core.json_file import read_if_present
from vision_zoo.core.model_results import (
    CalibratedModel,
    CoverageMeasurement,
    LatencyRatio,
    LatencyRatios,
    ScoreMeasurement,
    UncertaintyResult,
)
from vision_zoo.core.results import result_path, write_result
from vision_zoo.core.statistics import calibration_error, softmax
from vision_zoo.data import find_dataset
from vision_zoo.exporting.calibrate import calibrate_file, with_temperature
from vision_zoo.exporting.calibration_images import images_for
from vision_zoo.images.preprocess import InputFormat, prepare
from vision_zoo.serving.session import Session

ROOT = Path(__file__).resolve().parent.parent
CHOSEN = "Gaussians of logits and pixels"
_FOREIGN = {
    "mnist": "fashion-mnist",
    "fashion-mnist": "mnist",
    "cifar10": "imagenette-rgb",
    "cifar10-gray": "imagenette-rgb",
    "imagenette": "cifar10",
    "imagenette-rgb": "cifar10",
}
_FOREIGN_IMAGES = 2000
_NEIGHBOURS = 10
_BAND = 0.95
_TEMPERATURE = 2.0
_ROUNDS, _FEWEST_CALLS = 5, 50

Score = Callable[[NDArray[np.uint8], NDArray[np.float32]], NDArray[np.float64]]


def measured(path: Path, folder: Path, data_dir: Path | None) -> CalibratedModel:
    """Calibrate a copy of the file at `path` in `folder` and judge it."""
    started = time.process_time()
    before = Session(path, provider="cpu")
    used = images_for(before.metadata, dataset=None, data_dir=data_dir)
    done = calibrate_file(path, data_dir=data_dir, output_dir=folder)
    after, calibration = Session(done.path, provider="cpu"), done.calibration
    assert used.rest is not None
    assert after.gaussians is not None
    images, labels = np.asarray(used.rest.images), np.asarray(used.rest.labels)
    prediction = after.predict_all(images)
    foreign = foreign_images(_FOREIGN[before.metadata.dataset], after.metadata.input, data_dir)
    given = {
        "calibration": (
            np.asarray(used.split.images),
            after.predict_all(np.asarray(used.split.images)).logits,
        ),
        "test": (images, prediction.logits),
        "foreign": (foreign, after.predict_all(foreign).logits),
    }
    scores = _scores(calibration, given["calibration"][1], np.asarray(used.split.labels))
    found = {name: _judged(score, given) for name, score in scores.items()}
    warned = [~after.gaussians.are_familiar(*given[part]) for part in ("test", "foreign")]
    found[CHOSEN] = ScoreMeasurement(
        false_alarms=round(float(warned[0].mean()), 4), detected=round(float(warned[1].mean()), 4)
    )
    return CalibratedModel(
        model=before.name,
        dataset=before.metadata.dataset,
        foreign=_FOREIGN[before.metadata.dataset],
        calibrated_on=calibration.calibrated_on,
        calibration_images=calibration.images,
        images=len(labels),
        temperature=calibration.temperature,
        error_before=_error(softmax(prediction.logits), labels),
        error_after=_error(prediction.probabilities.astype(np.float64), labels),
        coverage=[
            _covered(prediction.probabilities, labels, float(rate) / 100, threshold, calibration.images)
            for rate, threshold in calibration.set_thresholds.items()
        ],
        scores=found,
        chosen=CHOSEN,
        cpu_seconds=round(time.process_time() - started, 1),
    )


def foreign_images(name: str, target: InputFormat, data_dir: Path | None) -> NDArray[np.uint8]:
    """Test images of the dataset `name` as a model takes them: uint8 `[n, height, width, channels]`."""
    images = find_dataset(name).load(data_dir).test.spread(_FOREIGN_IMAGES).images
    if images.shape[1:] == target.shape:
        return np.asarray(images)
    return np.stack([prepare(Image.fromarray(image.squeeze()), target) for image in images])


def _error(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    right = probabilities.argmax(axis=1) == labels
    return round(calibration_error(probabilities.max(axis=1), right), 5)


def _covered(
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int64],
    target: float,
    threshold: float,
    calibrated: int,
) -> CoverageMeasurement:
    count = len(labels)
    rank = max(1, int((calibrated + 1) * (1 - target) + 1e-9))
    low, high = betabinom.interval(_BAND, count, calibrated + 1 - rank, rank)
    within = probabilities >= threshold
    sets = within | (np.arange(probabilities.shape[1]) == probabilities.argmax(axis=1)[:, None])
    rows = np.arange(count)
    return CoverageMeasurement(
        target=target,
        by_threshold=round(float(within[rows, labels].mean()), 5),
        low=round(float(low) / count, 5),
        high=round(float(high) / count, 5),
        of_sets=round(float(sets[rows, labels].mean()), 5),
        mean_labels=round(float(sets.sum(axis=1).mean()), 3),
    )


def _scores(
    calibration: Calibration, logits: NDArray[np.float32], labels: NDArray[np.int64]
) -> dict[str, Score]:
    """Scores by name, low for what is unlike the calibration images, whose `logits` and `labels` are given."""

    def probabilities(values: NDArray[np.float32]) -> NDArray[np.float64]:
        return softmax(values / np.float32(calibration.temperature))

    def entropy(_: NDArray[np.uint8], values: NDArray[np.float32]) -> NDArray[np.float64]:
        found = probabilities(values)
        negative: NDArray[np.float64] = (found * np.log(found + 1e-300)).sum(axis=1)
        return negative

    classes = np.unique(labels)
    means = np.stack([logits[labels == index].mean(axis=0) for index in classes]).astype(np.float64)
    centred = logits - means[np.searchsorted(classes, labels)]
    inverse = np.linalg.pinv(np.cov(centred, rowvar=False))

    def mahalanobis(_: NDArray[np.uint8], values: NDArray[np.float32]) -> NDArray[np.float64]:
        away = values[:, None] - means[None]
        distances: NDArray[np.float64] = -np.einsum("nkc,cd,nkd->nk", away, inverse, away).min(axis=1)
        return distances

    known = cKDTree(logits[:: max(1, len(logits) // 2000)])

    def neighbours(_: NDArray[np.uint8], values: NDArray[np.float32]) -> NDArray[np.float64]:
        distances: NDArray[np.float64] = -known.query(values, k=_NEIGHBOURS)[0][:, -1]
        return distances

    return {
        "maximum probability": lambda _, values: probabilities(values).max(axis=1),
        "maximum logit": lambda _, values: values.max(axis=1).astype(np.float64),
        "energy": lambda _, values: energy(values),
        "entropy": entropy,
        "Mahalanobis distance of logits": mahalanobis,
        "nearest neighbours of logits": neighbours,
    }


def _judged(
    score: Score, given: Mapping[str, tuple[NDArray[np.uint8], NDArray[np.float32]]]
) -> ScoreMeasurement:
    threshold = np.quantile(score(*given["calibration"]), FALSE_ALARMS)
    test, foreign = (float((score(*given[part]) < threshold).mean()) for part in ("test", "foreign"))
    return ScoreMeasurement(false_alarms=round(test, 4), detected=round(foreign, 4))


def latency_ratio(path: Path, folder: Path, *, seconds: float) -> LatencyRatio:
    """Time two copies of the file at `path` in `folder`, without and with a temperature, single calls in turns.

    Other work on the machine only adds to times: low quantiles feel it least. How a session lies in memory matters,
    too: it is loaded again for every round.
    """
    plain, scaled = folder / "plain.onnx", folder / "scaled.onnx"
    for copy, temperature in ((plain, 1.0), (scaled, _TEMPERATURE)):
        copy.write_bytes(with_temperature(path.read_bytes(), temperature))
    ratios, deciles, calls = [], [], 0
    for number in range(_ROUNDS):
        files = [plain, scaled][:: -1 if number % 2 else 1]
        sessions = {file: Session(file, provider="cpu", threads=1) for file in files}
        image = np.zeros((1, *sessions[plain].metadata.input.shape), dtype=np.uint8)
        times: dict[Path, list[int]] = {file: [] for file in files}
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(times[plain]) < _FEWEST_CALLS:
            for file, session in sessions.items():
                begun = time.perf_counter_ns()
                session.predict(image)
                times[file].append(time.perf_counter_ns() - begun)
        without, other = (float(np.quantile(times[file], 0.1)) for file in (plain, scaled))
        ratios.append(other / without)
        deciles.append(without / 1e6)
        calls += len(times[plain])
    return LatencyRatio(
        model=path.stem,
        ratio=round(float(np.median(ratios)), 4),
        plain_ms=round(float(np.median(deciles)), 4),
        rounds=_ROUNDS,
        calls=calls,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help="names of shipped models; default: all")
    parser.add_argument("--latency", action="store_true", help="measure the latency, and nothing else")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each round of a latency")
    parser.add_argument("--results-dir", type=Path, default=ROOT / "results")
    chosen = parser.parse_args()
    data_dir = os.environ.get("VISION_ZOO_DATA")
    here = describe()
    target = result_path(chosen.results_dir, here, "uncertainty")
    document = read_if_present(target, UncertaintyResult) or UncertaintyResult(environment=here)
    for path in sorted((ROOT / "exported").glob("*.onnx"), key=lambda path: path.stem):
        if chosen.models and path.stem not in chosen.models:
            continue
        with tempfile.TemporaryDirectory() as folder:
            if chosen.latency:
                ratio = latency_ratio(path, Path(folder), seconds=chosen.seconds)
                document = replace(document, latency=with_ratio(document.latency, ratio, here))
            else:
                one = measured(path, Path(folder), Path(data_dir) if data_dir else None)
                others = [row for row in document.models if row.model != one.model]
                models = sorted([*others, one], key=lambda row: row.model)
                document = replace(document, environment=here, models=models)
        print(path.stem, file=sys.stderr)
        write_result(target, document)


def with_ratio(kept: LatencyRatios | None, one: LatencyRatio, here: Environment) -> LatencyRatios:
    """Those measured before in the same environment, and `one`."""
    found = LatencyRatios(environment=here)
    if kept is not None and replace(kept, models=()) == found:
        found = kept
    others = [row for row in found.models if row.model != one.model]
    return replace(found, models=sorted([*others, one], key=lambda row: row.model))


if __name__ == "__main__":
    main()
