"""What models say of an image."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vision_zoo.errors import BlankImageError
from vision_zoo.preprocess import prepare
from vision_zoo.serving.session import Session


@dataclass(frozen=True)
class Answer:
    """One model's: `pixels` is its input, uint8 `[height, width, channels]`; `ranked` the most probable label first.

    `milliseconds` are of the model alone. `familiar` says whether the input looks like the model's test images
    (see `Metadata.is_familiar`), None where the file does not say how to tell.
    """

    session: Session
    pixels: NDArray[np.uint8]
    ranked: tuple[tuple[str, float], ...]
    milliseconds: float
    familiar: bool | None

    @property
    def label(self) -> str:
        """The most probable label."""
        return self.ranked[0][0]


def answers(sessions: Iterable[Session], image: Image.Image | None) -> list[Answer]:
    """What every model says, the most accurate model first; nothing for no image or a blank one."""
    if image is None:
        return []
    ordered = sorted(sessions, key=lambda session: -session.metadata.test_accuracy)
    try:
        return [answer(session, image) for session in ordered]
    except BlankImageError:
        return []


def answer(session: Session, image: Image.Image) -> Answer:
    """What one model says of an image.

    Raises:
        BlankImageError: the model centres its input and there is nothing to centre.
    """
    pixels = prepare(image, session.metadata.input)
    started = time.perf_counter()
    prediction = session.predict(pixels[None])
    milliseconds = 1e3 * (time.perf_counter() - started)
    probabilities = prediction.probabilities[0]
    order = (-probabilities).argsort(kind="stable")
    labels = session.metadata.labels
    ranked = tuple((labels[index], float(probabilities[index])) for index in order)
    return Answer(session, pixels, ranked, milliseconds, session.metadata.is_familiar(prediction.logits[0]))


def enlarged(pixels: NDArray[np.uint8], side: int = 224) -> Image.Image:
    """A model's input, large enough to see its pixels."""
    return Image.fromarray(pixels.squeeze()).resize((side, side), Image.Resampling.NEAREST)
