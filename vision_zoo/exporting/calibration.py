"""Fit a calibration: temperature, sets of labels, and which images are familiar, on images held out of training."""

import math

import numpy as np
from numpy.typing import NDArray

from vision_zoo.artifact.calibration import COVERAGES, Calibration
from vision_zoo.artifact.familiarity import FALSE_ALARMS, MAX_CLASSES, MIN_SIDE, Gaussians, vectors_of
from vision_zoo.core.statistics import softmax

MIN_IMAGES = 100
"""Labelled images that a calibration takes: a set of 99 % needs 99."""

_COLDEST, _HOTTEST = 0.05, 20.0
_SIGNIFICANT = 6.63
"""Twice the gain in log-likelihood that a temperature other than 1 has by chance in 1 % of cases (chi-squared)."""

_FOLDS = 10
_FEWEST = 10


def fit_calibration(
    logits: NDArray[np.float32], labels: NDArray[np.int64], *, calibrated_on: str
) -> Calibration:
    """Fit temperature and thresholds to logits `[n, classes]` of images with `labels` `[n]`, at least `MIN_IMAGES`."""
    temperature = fit_temperature(logits, labels)
    given = softmax(logits / np.float32(temperature)).astype(np.float32)[np.arange(len(labels)), labels]
    thresholds = {str(coverage): set_threshold(given, coverage / 100) for coverage in COVERAGES}
    return Calibration(
        calibrated_on=calibrated_on,
        images=len(labels),
        temperature=temperature,
        set_thresholds=thresholds,
    )


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature of the least mean negative log-likelihood; 1 where that gains no more than chance would.

    The likelihood is concave in the inverse temperature: its derivative is bisected.
    """
    values = logits.astype(np.float64)
    own = values[np.arange(len(labels)), labels]
    low, high = math.log(1 / _HOTTEST), math.log(1 / _COLDEST)
    for _ in range(40):
        middle = (low + high) / 2
        expected = (softmax(values * math.exp(middle)) * values).sum(axis=1)
        low, high = (low, middle) if expected.mean() > own.mean() else (middle, high)
    found = round(math.exp(-(low + high) / 2), 6)
    gain = 2 * (log_likelihood(values / found, labels) - log_likelihood(values, labels))
    return found if gain > _SIGNIFICANT else 1.0


def log_likelihood(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The sum of the log-probabilities of `labels` `[n]` under logits `[n, classes]`."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    own = shifted[np.arange(len(labels)), labels]
    return float((own - np.log(np.exp(shifted).sum(axis=1))).sum())


def set_threshold(given: NDArray[np.float32], coverage: float) -> float:
    """The least probability of a label in a set, from the probabilities `given` `[n]` to the true labels.

    Of n + 1 exchangeable images, the new one is below the k-th smallest of the others with probability k / (n + 1) at
    most: k is the largest whole number for which that is no more than 1 - `coverage`. Without one, every label is in.
    """
    rank = math.floor((len(given) + 1) * (1 - coverage) + 1e-9)
    return float(np.sort(given)[rank - 1]) if rank else 0.0


def fit_familiarity(
    images: NDArray[np.uint8], logits: NDArray[np.float32], *, false_alarms: float = FALSE_ALARMS
) -> Gaussians | None:
    """Fit Gaussians to images uint8 `[n, height, width, channels]` and their logits `[n, classes]`.

    The threshold is of scores by Gaussians that have not seen the image, from ten folds; the fraction `false_alarms` of
    them lies below. None for more than `MAX_CLASSES` classes or images too small for statistics.
    """
    if logits.shape[1] > MAX_CLASSES or min(images.shape[1:3]) < MIN_SIDE:
        return None
    vectors, classes = vectors_of(images, logits), logits.argmax(axis=1)
    folds = np.random.default_rng(0).permutation(len(vectors)) % _FOLDS
    scores = np.empty(len(vectors))
    for fold in range(_FOLDS):
        out = folds == fold
        scores[out] = _fitted(vectors[~out], classes[~out]).scores(vectors[out])
    rank = max(1, math.floor((len(scores) + 1) * false_alarms))
    fitted = _fitted(vectors, classes)
    return Gaussians(fitted.means, fitted.factors, round(float(np.sort(scores)[rank - 1]), 4), false_alarms)


def _fitted(vectors: NDArray[np.float64], classes: NDArray[np.int64]) -> Gaussians:
    """Gaussians of the classes with enough images, their covariances drawn to the pooled one; no threshold yet."""
    width = vectors.shape[1]
    scale = vectors.std(axis=0) + 1e-6
    parts = {index: vectors[classes == index] / scale for index in np.unique(classes)}
    enough = [part for part in parts.values() if len(part) >= _FEWEST] or [vectors / scale]
    means = [part.mean(axis=0) for part in enough]
    centred = [part - mean for part, mean in zip(enough, means, strict=True)]
    pooled = np.cov(np.concatenate(centred), rowvar=False) + 1e-6 * np.eye(width)
    factors = []
    for part in centred:
        weight = width / (width + len(part))
        own = part.T @ part / (len(part) - 1)
        inverse = np.tril(np.linalg.inv(np.linalg.cholesky((1 - weight) * own + weight * pooled)))
        factors.append(inverse / scale)
    return Gaussians(
        (np.stack(means) * scale).astype(np.float32), np.stack(factors).astype(np.float32), -math.inf
    )
