"""Predictions of several models for an image."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision_zoo.core.errors import ImageError
from vision_zoo.images.preprocess import InputFormat
from vision_zoo.serving.server.decoding import Decoded
from vision_zoo.serving.session import Session

Inputs = Mapping[InputFormat, Decoded]
"""An image as every model takes it, or why it cannot be used so."""


@dataclass(frozen=True, eq=False)
class Answer:
    """One model's answer: `pixels` is its input, uint8 `[height, width, channels]`; `ranked` begins with the best label.

    `milliseconds` are of the model alone; `familiar` is of `Session.are_familiar`.
    """

    session: Session
    pixels: NDArray[np.uint8]
    ranked: tuple[tuple[str, float], ...]
    milliseconds: float
    familiar: bool | None

    @property
    def label(self) -> str:
        return self.ranked[0][0]


def answers(sessions: Iterable[Session], inputs: Inputs) -> list[Answer]:
    """The answers of every model that can use the image, the most accurate model first; ImageError if none can."""
    ordered = most_accurate_first(sessions)
    first_usable(ordered, inputs)
    pictures = [(session, inputs[session.metadata.input]) for session in ordered]
    return [answer(session, pixels) for session, pixels in pictures if not isinstance(pixels, ImageError)]


def first_usable(sessions: Sequence[Session], inputs: Inputs) -> tuple[Session, NDArray[np.uint8]]:
    """The first model that can use the image, and the image as its input; ImageError if none can."""
    refused = []
    for session in sessions:
        pixels = inputs[session.metadata.input]
        if not isinstance(pixels, ImageError):
            return session, pixels
        refused.append(pixels)
    raise refused[0]


def most_accurate_first(sessions: Iterable[Session]) -> list[Session]:
    return sorted(sessions, key=lambda session: -session.metadata.test_accuracy)


def answer(session: Session, pixels: NDArray[np.uint8]) -> Answer:
    """What one model says of its input, uint8 `[height, width, channels]`."""
    started = time.perf_counter()
    prediction = session.predict(pixels[None])
    milliseconds = 1e3 * (time.perf_counter() - started)
    (ranked,) = prediction.labelled(session.metadata.labels)
    familiar = session.are_familiar(pixels[None], prediction.logits)
    return Answer(session, pixels, ranked, milliseconds, None if familiar is None else bool(familiar[0]))
