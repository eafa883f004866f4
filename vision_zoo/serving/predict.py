"""Classify image files."""

import itertools
import math
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vision_zoo.core.environment import usable_cores
from vision_zoo.core.errors import ImageError, ModelError, UsageError
from vision_zoo.core.threads import in_order, in_parts
from vision_zoo.images.decode import upright
from vision_zoo.images.preprocess import InputFormat, open_image, prepare
from vision_zoo.serving.models import is_address
from vision_zoo.serving.pictures import Source
from vision_zoo.serving.session import Prediction, Session
from vision_zoo.serving.uncertainty import Uncertainty, require_coverage, uncertainties

_BATCH = 64
_BATCH_BYTES = 4 * 2**20

Picture = str | Path | Image.Image | NDArray[np.uint8]
"""An image file, a Pillow image, or an array uint8 `[height, width]`, `[height, width, 1]` or `[height, width, 3]`."""


@dataclass(frozen=True, eq=False)
class Classified:
    """A model's answer: `pixels` is its input, uint8 `[height, width, channels]`; `ranked` labels, the best first.

    `embedding` is float32 `[width]` where the model has the output `embeddings`. `uncertainty` is there where a coverage
    was asked for.
    """

    pixels: NDArray[np.uint8]
    ranked: tuple[tuple[str, float], ...]
    embedding: NDArray[np.float32] | None = None
    uncertainty: Uncertainty | None = None


def classify_file(session: Session, image: Path, *, top: int | None = None) -> dict[str, Any]:
    """`image`, `label` and `probabilities` of the `top` labels, by default all, the most probable first.

    Raises:
        ImageError: the file is no image that can be used.
        ModelError: the model fails or returns non-finite values.
    """
    (ranked,) = classify(session, [image], top=top)
    return {"image": str(image), "label": ranked[0][0], "probabilities": dict(ranked)}


def classify(
    session: Session, images: Sequence[Picture], *, top: int | None = None
) -> list[tuple[tuple[str, float], ...]]:
    """The `top` labels of each image, by default all, with their probabilities, the best first.

    Raises:
        ImageError: an image cannot be used; the message names its file, or its place among several.
        ModelError: the model fails or returns non-finite values.
    """
    if not images:
        return []
    return predict(session, images).labelled(session.metadata.labels, top)


def predict(session: Session, images: Sequence[Picture]) -> Prediction:
    """What the model gives for one or more images; raises as `classify`."""
    return _finite(session, _all_pixels(session, images))


def label_sets(
    session: Session, images: Sequence[Picture], coverage: float
) -> list[tuple[Uncertainty, tuple[tuple[str, float], ...]]]:
    """How sure the model is of each image, and all labels with their probabilities, the best first.

    Raises as `classify`, and UsageError where the file has no sets of that `coverage`.
    """
    require_coverage(session, coverage)
    if not images:
        return []
    pixels = _all_pixels(session, images)
    prediction = _finite(session, pixels)
    found = uncertainties(session, pixels, prediction, coverage)
    return list(zip(found, prediction.labelled(session.metadata.labels), strict=True))


def _all_pixels(session: Session, images: Sequence[Picture]) -> NDArray[np.uint8]:
    pixels = []
    for number, image in enumerate(images):
        name = "the image" if len(images) == 1 else f"image {number}"
        pixels.append(_pixels(image, session.metadata.input, name))
    return np.stack(pixels)


def embed(session: Session, images: Sequence[Picture]) -> NDArray[np.float32]:
    """The embeddings of images, float32 `[n, width]`; raises as `classify`, and UsageError as `embedding_width`."""
    width = embedding_width(session)
    if not images:
        return np.empty((0, width), dtype=np.float32)
    embeddings = predict(session, images).embeddings
    assert embeddings is not None  # noqa: S101  (the file has them)
    return embeddings


def embedding_width(session: Session) -> int:
    """How many values an embedding of the model has; UsageError if its file has none."""
    if session.metadata.embeddings is None:
        raise UsageError(
            f"{session.name} has no embeddings; export its run again with `vision-zoo export RUN --embeddings`"
        )
    return session.metadata.embeddings


def classify_each(
    session: Session, sources: Sequence[Source], *, top: int | None = None, coverage: float | None = None
) -> Iterator[tuple[Source, Classified | ImageError]]:
    """Each picture with the model's answer, `top` labels or all, or with why it cannot be used; in their order.

    Several are decoded and classified in batches, by a thread a core; few batches are held at a time.

    Raises:
        ModelError: the model fails or returns non-finite values.
        UsageError: the file has no sets of that `coverage`.
    """
    require_coverage(session, coverage)

    def answered(batch: Sequence[Source]) -> list[tuple[Source, Classified | ImageError]]:
        inputs = [_input(source, session.metadata.input) for source in batch]
        usable = [pixels for pixels in inputs if not isinstance(pixels, ImageError)]
        answers: Iterator[Classified] = iter(())
        if usable:
            images = np.stack(usable)
            prediction = _finite(session, images)
            ranked = prediction.labelled(session.metadata.labels, top)
            embeddings = itertools.repeat(None) if prediction.embeddings is None else prediction.embeddings
            found = (
                itertools.repeat(None)
                if coverage is None
                else uncertainties(session, images, prediction, coverage)
            )
            answers = map(Classified, usable, ranked, embeddings, found)
        return [
            (source, pixels if isinstance(pixels, ImageError) else next(answers))
            for source, pixels in zip(batch, inputs, strict=True)
        ]

    if len(sources) < 2:
        yield from answered(sources)
        return
    largest = min(_BATCH, max(1, _BATCH_BYTES // math.prod(session.metadata.input.shape)))
    size = min(largest, -(-len(sources) // (4 * usable_cores())))
    for answers in in_order(answered, in_parts(sources, size)):
        yield from answers


def _finite(session: Session, pixels: NDArray[np.uint8]) -> Prediction:
    prediction = session.predict_all(pixels)
    if not np.isfinite(prediction.probabilities).all():
        raise ModelError(f"{session.path} gives values that are not finite; export the model again")
    return prediction


def image_path(text: str) -> Path:
    """The path of an image file; ImageError for an address, folder, standard input, pattern or unreadable folder."""
    path = Path(text)
    if is_address(text):
        raise ImageError(f"{text:.80} is an address; expected an image file: download it first")
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except OSError as error:
        raise ImageError(f"cannot read {text}: {error.strerror}; expected an image file") from error
    if is_folder:
        raise ImageError(
            f"{text} is a folder; expected an image file: name the files in it, or score a folder of classes with "
            f"`vision-zoo evaluate MODEL --dataset {shlex.quote(f'folder:{text}')}`"
        )
    if text == "-" and not exists:
        raise ImageError("- is not a file, and standard input is not read here; expected an image file")
    if any(mark in text for mark in "*?[") and not exists:
        raise ImageError(f"no file matches {text}; expected an image file")
    return path


def _input(source: Source, target: InputFormat) -> NDArray[np.uint8] | ImageError:
    """What the model takes, or why the picture cannot be used."""
    try:
        if source.content is None:
            return _pixels(source.name, target, source.name)
        return _pixels(_from_stdin(source.content), target, "standard input")
    except ImageError as error:
        return error.without_frames()


def _from_stdin(content: bytes | ImageError) -> Image.Image:
    if isinstance(content, ImageError):
        raise content
    try:
        return open_image(content)
    except ImageError as error:
        raise ImageError(f"standard input: {error}") from error


def _pixels(image: Picture, target: InputFormat, name: str) -> NDArray[np.uint8]:
    """The image as the model takes it; `name` is what an image that is no file is called in messages."""
    path = str(image) if isinstance(image, str | Path) else None
    name = name if path is None else path
    with _refusing(name):
        picture = None if path is None else _opened(path)
        try:
            if picture is None:
                picture = upright(image) if isinstance(image, Image.Image) else _from_array(image)
            return prepare(picture, target)
        except ImageError as error:
            raise type(error)(f"{name}: {error}") from error


def _opened(path: str) -> Image.Image:
    try:
        return open_image(path)
    except ImageError:
        image_path(path)  # what else it may be
        raise


def _from_array(pixels: Any) -> Image.Image:
    """A picture of an array uint8 `[height, width]`, `[height, width, 1]` or `[height, width, 3]`."""
    if not isinstance(pixels, np.ndarray):
        raise ImageError(
            f"cannot use {type(pixels).__name__}; expected a path, a Pillow image or an array of uint8"
        )
    fits = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (1, 3))
    if pixels.dtype != np.uint8 or not fits or not pixels.size:
        raise ImageError(
            f"cannot use an array {pixels.dtype} {list(pixels.shape)}; expected uint8 [height, width], "
            "[height, width, 1] or [height, width, 3], and a list for several images"
        )
    return Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels)


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Whatever a decoder meets in an image becomes an `ImageError`: one image's fault stops no other image."""
    try:
        yield
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(f"{name} needs more memory than available; make it smaller") from error
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{name} cannot be decoded ({reason:.200}); save it again as PNG") from error
