"""Page of the worst mistakes on a user's pictures: thumbnails with file names, labels and probabilities."""

import base64
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vision_zoo.core.class_metrics import ClassMetrics, class_heading, class_table
from vision_zoo.core.html import render
from vision_zoo.data.dataset import Split

_TEMPLATE = Path(__file__).with_name("mistakes.html")
_SHOWN = 60
_CONFUSED = 10
_SIDE = 160  # pixels of a thumbnail, at most


@dataclass(frozen=True)
class _Mistake:
    file: str
    picture: str
    predicted: str
    predicted_probability: float
    true: str
    true_probability: float


def mistakes_page(
    split: Split,
    probabilities: NDArray[np.float64],
    labels: Sequence[str],
    classes: Sequence[ClassMetrics],
    *,
    title: str,
) -> str:
    """HTML of what was predicted wrongly in `split`, the surest mistakes first; it needs nothing from elsewhere.

    `probabilities` `[n, classes]` are of the images of `split`, which have files; `classes` are its metrics.
    """
    truth, predicted = np.asarray(split.labels), probabilities.argmax(axis=1)
    wrong = np.flatnonzero(truth != predicted)
    worst = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")]
    pairs = Counter(zip(truth[wrong].tolist(), predicted[wrong].tolist(), strict=True))
    return render(
        _TEMPLATE,
        title=title,
        images=len(split),
        wrong=len(wrong),
        mistakes=[
            _Mistake(
                file=split.files[index].name,
                picture=_thumbnail(split.images[index]),
                predicted=labels[predicted[index]],
                predicted_probability=probabilities[index, predicted[index]],
                true=labels[truth[index]],
                true_probability=probabilities[index, truth[index]],
            )
            for index in worst[:_SHOWN]
        ],
        confused=[
            {"true": labels[true], "predicted": labels[other], "pictures": count}
            for (true, other), count in pairs.most_common(_CONFUSED)
        ],
        heading=class_heading(classes),
        classes=class_table(classes),
    )


def _thumbnail(image: NDArray[np.uint8]) -> str:
    """A JPEG as text in base 64."""
    picture = Image.fromarray(np.asarray(image).squeeze(axis=2) if image.shape[2] == 1 else np.asarray(image))
    picture.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=85)
    return base64.b64encode(buffer.getvalue()).decode()
