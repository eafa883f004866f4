"""The time of one picture, split: bringing it to the model's input, running the model, naming the answer."""

import time
from dataclasses import dataclass

import numpy as np
from PIL import Image

from vision_zoo.images.preprocess import prepare
from vision_zoo.serving.session import Session

PICTURE_SIDE = 256
_CALLS = 50


@dataclass(frozen=True)
class Stages:
    """Median milliseconds of one picture of 256 x 256 pixels in RGB, decoded already."""

    preprocess_ms: float
    run_ms: float
    postprocess_ms: float


def measure_stages(session: Session, *, calls: int = _CALLS) -> Stages:
    """Time the three stages of `calls` pictures, one after the other."""
    paper = np.random.default_rng(0).integers(200, 230, (PICTURE_SIDE, PICTURE_SIDE, 3), dtype=np.uint8)
    paper[60:200, 120:134] = 30  # a 1: models of digits refuse a picture without one
    picture = Image.fromarray(paper)
    labels = session.metadata.labels
    clock = time.perf_counter_ns
    taken = []
    for _ in range(calls + 1):
        begun = clock()
        pixels = prepare(picture, session.metadata.input)[None]
        prepared = clock()
        prediction = session.predict(pixels)
        predicted = clock()
        order = (-prediction.probabilities[0]).argsort(kind="stable")
        _ = {labels[index]: float(prediction.probabilities[0, index]) for index in order}
        taken.append((prepared - begun, predicted - prepared, clock() - predicted))
    medians = np.median(np.asarray(taken[1:]), axis=0) / 1e6
    return Stages(*(float(value) for value in medians))
