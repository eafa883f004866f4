"""Labels for image files."""

import shlex
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_zoo.core.errors import ImageError, ModelError
from vision_zoo.images.preprocess import InputFormat, open_image, prepare
from vision_zoo.serving.models import is_address
from vision_zoo.serving.session import Session


def classify_file(session: Session, image: Path, *, top: int | None = None) -> dict[str, Any]:
    """`image`, `label` and `probabilities` by label, the most probable first; the `top` ones where given.

    Raises:
        ImageError: the file is no image that can be used, whatever a decoder meets in it.
        ModelError: the model fails or gives values that are not finite.
    """
    pixels = _pixels(image, session.metadata.input)
    probabilities = session.predict(pixels[None]).probabilities[0]
    if not np.isfinite(probabilities).all():
        raise ModelError(f"{session.path} gives values that are not finite; export the model again")
    order = (-probabilities).argsort(kind="stable")[:top]
    ranked = {session.metadata.labels[index]: float(probabilities[index]) for index in order}
    return {"image": str(image), "label": next(iter(ranked)), "probabilities": ranked}


def image_path(text: str) -> Path:
    """The path of an image file that a user names.

    Raises:
        ImageError: it is an address, a folder, standard input or a pattern, which are not taken, or lies in a folder
            that may not be read.
    """
    try:
        return _file_path(text)
    except OSError as error:
        raise ImageError(f"cannot read {text}: {error.strerror}; expected an image file") from error


def _file_path(text: str) -> Path:
    path = Path(text)
    if is_address(text):
        raise ImageError(f"{text:.80} is an address; expected an image file: download it first")
    if path.is_dir():
        raise ImageError(
            f"{text} is a folder; expected an image file: name the files in it, or score a folder of classes with "
            f"`vision-zoo evaluate MODEL --dataset {shlex.quote(f'folder:{text}')}`"
        )
    if text == "-" and not path.exists():
        raise ImageError("- is no file, and standard input is not read; expected an image file")
    if any(mark in text for mark in "*?[") and not path.exists():
        raise ImageError(f"no file matches {text}; expected an image file")
    return path


def _pixels(image: Path, target: InputFormat) -> NDArray[np.uint8]:
    try:
        picture = open_image(image)
        try:
            return prepare(picture, target)
        except ImageError as error:
            raise type(error)(f"{image}: {error}") from error
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(f"{image} needs more memory than there is; make it smaller") from error
    except Exception as error:  # decoders raise whatever they meet; one file's fault stops no other file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{image} cannot be decoded ({reason:.200}); save it again as PNG") from error
