"""Labels for image files."""

from pathlib import Path
from typing import Any

import numpy as np

from vision_zoo.errors import BlankImageError, ModelError
from vision_zoo.preprocess import open_image, prepare
from vision_zoo.serving.session import Session


def classify_file(session: Session, image: Path, *, top: int | None = None) -> dict[str, Any]:
    """`image`, `label` and `probabilities` by label, the most probable first; the `top` ones where given.

    Raises:
        ImageError: the file is no image that can be used.
        ModelError: the model fails or gives values that are not finite.
    """
    try:
        pixels = prepare(open_image(image), session.metadata.input)
    except BlankImageError as error:
        raise BlankImageError(f"{image}: {error}") from error
    probabilities = session.predict(pixels[None]).probabilities[0]
    if not np.isfinite(probabilities).all():
        raise ModelError(f"{session.path} gives values that are not finite; export the model again")
    order = (-probabilities).argsort(kind="stable")[:top]
    ranked = {session.metadata.labels[index]: float(probabilities[index]) for index in order}
    return {"image": str(image), "label": next(iter(ranked)), "probabilities": ranked}
