"""Which score tells Imagenette from CIFAR-10 to models of CIFAR-10: `results/<environment>/unfamiliar.json`.

Scores of the literature on what the last dense layer takes, besides those that `benchmarks.uncertainty` measures: all
fitted on one half of the test images, with the threshold that warns of 5 % of them, and judged on the other half and on
2,000 test photographs scaled to 32 pixels. What is measured of other models is kept.

    python -m benchmarks.unfamiliar [MODEL...]
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import logsumexp

from benchmarks.uncertainty import ROOT, foreign_images
from vision_zoo.artifact.familiarity import FALSE_ALARMS, vectors_of
from vision_zoo.core.environment import describe
from vision_zoo.core.json_file import read_if_present
from vision_zoo.core.model_results import ScoreMeasurement, UnfamiliarModel, UnfamiliarResult
from vision_zoo.core.results import result_path, write_result
from vision_zoo.exporting.calibration import fit_familiarity
from vision_zoo.exporting.calibration_images import images_for
from vision_zoo.exporting.verify import run_graph
from vision_zoo.serving.session import Session

_FOREIGN = "imagenette-rgb"
_NEIGHBOURS = 10
_CLIPPED_ABOVE = 0.9  # quantile of the activations, as ReAct has it
_SMALL = 1e-6
Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Seen:
    """Images uint8 `[n, height, width, channels]`, what the last dense layer takes `[n, width]`, and logits."""

    images: NDArray[np.uint8]
    features: Values
    logits: Values


def with_features(content: bytes) -> tuple[bytes, str]:
    """A graph with one output more, what its last dense layer takes, and the name of that."""
    import onnx

    model = onnx.load_model_from_string(content)
    made_by = {output: node for node in model.graph.node for output in node.output}
    name = "logits"
    while made_by[name].op_type not in ("Gemm", "MatMul"):
        name = made_by[name].input[0]
    features = made_by[name].input[0]
    model.graph.output.append(onnx.helper.make_tensor_value_info(features, onnx.TensorProto.FLOAT, None))
    return bytes(model.SerializeToString()), features


def scores(known: Seen, classes: NDArray[np.int64]) -> dict[str, Callable[[Seen], Values]]:
    """Scores by name, low for what is unlike the `known` images of these `classes`."""
    ones = np.ones((len(known.features), 1))
    layer = np.linalg.lstsq(np.hstack([known.features, ones]), known.logits, rcond=None)[0]
    weight, bias = layer[:-1], layer[-1]
    most = np.quantile(known.features, _CLIPPED_ABOVE)
    origin = -np.linalg.pinv(weight.T) @ bias

    within, overall = _gaussian(known.features, classes), _gaussian(known.features, np.zeros_like(classes))
    centred = known.features - origin
    directions = np.linalg.eigh(centred.T @ centred)[1][:, ::-1]
    residual = directions[:, min(len(directions) // 2, 512) :]
    lengths = np.linalg.norm(centred @ residual, axis=1)
    factor = known.logits.max(axis=1).mean() / lengths.mean()
    tree = cKDTree(_unit(known.features))
    gaussians = fit_familiarity(known.images, known.logits.astype(np.float32))
    assert gaussians is not None

    def vim(seen: Seen) -> Values:
        virtual = factor * np.linalg.norm((seen.features - origin) @ residual, axis=1)
        found: Values = logsumexp(seen.logits, axis=1) - virtual
        return found

    spectrum = _spectrum(known.images)
    spectral = _gaussian(
        np.hstack([spectrum, vectors_of(known.images, known.logits.astype(np.float32))]), classes
    )
    return {
        "energy": lambda seen: logsumexp(seen.logits, axis=1),
        "ReAct": lambda seen: logsumexp(np.minimum(seen.features, most) @ weight + bias, axis=1),
        "Mahalanobis distance of features": lambda seen: -within(seen.features),
        "relative Mahalanobis distance of features": lambda seen: (
            overall(seen.features) - within(seen.features)
        ),
        "nearest neighbours of features": lambda seen: (
            -tree.query(_unit(seen.features), k=_NEIGHBOURS)[0][:, -1]
        ),
        "ViM": vim,
        "Gaussians of logits and pixels": lambda seen: gaussians.scores(
            vectors_of(seen.images, seen.logits.astype(np.float32))
        ),
        "Gaussians with the power spectrum": lambda seen: (
            -spectral(
                np.hstack([_spectrum(seen.images), vectors_of(seen.images, seen.logits.astype(np.float32))])
            )
        ),
        "steps at borders of JPEG's blocks": lambda seen: _blockiness(seen.images),
    }


def _unit(features: Values) -> Values:
    found: Values = features / (np.linalg.norm(features, axis=1, keepdims=True) + _SMALL)
    return found


def _gaussian(values: Values, classes: NDArray[np.int64]) -> Callable[[Values], Values]:
    """The squared distance to the nearest of the means of `classes`, by their common covariance."""
    means = np.stack([values[classes == index].mean(axis=0) for index in np.unique(classes)])
    centred = values - means[np.searchsorted(np.unique(classes), classes)]
    covariance = np.cov(centred, rowvar=False)
    inverse = np.linalg.inv(
        covariance + 1e-4 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    )
    factor = np.linalg.cholesky(inverse)

    def distances(of: Values) -> Values:
        turned, centres = of @ factor, means @ factor
        found: Values = np.min([np.square(turned - centre).sum(axis=1) for centre in centres], axis=0)
        return found

    return distances


def _spectrum(images: NDArray[np.uint8]) -> Values:
    """Logarithms of the power of the gray image in rings of frequencies: `[n, half of the height]`."""
    gray = np.asarray(images).mean(axis=3) / 255
    power = np.abs(np.fft.fft2(gray)) ** 2
    rows, columns = (np.minimum(np.arange(side), side - np.arange(side)) for side in gray.shape[1:])
    ring = np.rint(np.hypot(rows[:, None], columns[None])).astype(int)
    rings = range(1, gray.shape[1] // 2 + 1)
    return np.log(np.stack([power[:, ring == number].mean(axis=1) for number in rings], axis=1) + _SMALL)


def _blockiness(images: NDArray[np.uint8]) -> Values:
    """How much neighbours differ across the borders of blocks of 8 pixels, over how much they differ within."""
    gray = np.asarray(images).mean(axis=3)
    steps = np.abs(np.diff(gray, axis=2)).mean(axis=1) + np.abs(np.diff(gray, axis=1)).mean(axis=2)
    border = np.arange(1, gray.shape[2]) % 8 == 0
    found: Values = (steps[:, border].mean(axis=1) + 1) / (steps[:, ~border].mean(axis=1) + 1)
    return found


def measured(path: Path, data_dir: Path | None) -> UnfamiliarModel:
    """Fit and judge all scores for the model at `path`."""
    started = time.process_time()
    session = Session(path, provider="cpu")
    content, name = with_features(path.read_bytes())
    used = images_for(session.metadata, dataset=None, data_dir=data_dir)
    assert used.rest is not None

    def seen(images: NDArray[np.uint8]) -> Seen:
        features, logits = run_graph(content, images, outputs=[name, "logits"])
        return Seen(images, features.reshape(len(images), -1).astype(np.float64), logits.astype(np.float64))

    known, test = seen(np.asarray(used.split.images)), seen(np.asarray(used.rest.images))
    foreign = seen(foreign_images(_FOREIGN, session.metadata.input, data_dir))
    found = {}
    for score, of in scores(known, known.logits.argmax(axis=1)).items():
        threshold = np.quantile(of(known), FALSE_ALARMS)
        rates = [round(float((of(part) < threshold).mean()), 4) for part in (test, foreign)]
        found[score] = ScoreMeasurement(false_alarms=rates[0], detected=rates[1])
    return UnfamiliarModel(
        model=path.stem,
        dataset=session.metadata.dataset,
        foreign=_FOREIGN,
        features=known.features.shape[1],
        scores=found,
        cpu_seconds=round(time.process_time() - started, 1),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", metavar="MODEL", help="names of shipped models of CIFAR-10")
    parser.add_argument("--results-dir", type=Path, default=ROOT / "results")
    chosen = parser.parse_args()
    data_dir = os.environ.get("VISION_ZOO_DATA")
    target = result_path(chosen.results_dir, describe(), "unfamiliar")
    document = read_if_present(target, UnfamiliarResult) or UnfamiliarResult(environment=describe())
    for name in chosen.models:
        one = measured(ROOT / "exported" / f"{name}.onnx", Path(data_dir) if data_dir else None)
        print(one, file=sys.stderr)
        others = [row for row in document.models if row.model != one.model]
        models = sorted([*others, one], key=lambda row: row.model)
        document = replace(document, environment=describe(), models=models)
        write_result(target, document)


if __name__ == "__main__":
    main()
