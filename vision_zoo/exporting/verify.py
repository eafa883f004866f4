"""Verify that an ONNX graph predicts what its checkpoint predicts, before anything is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vision_zoo.artifact.metadata import EMBEDDINGS, INPUT_NAME, OUTPUT_NAMES, energy
from vision_zoo.core import onnx_runtime
from vision_zoo.core.errors import ExportError
from vision_zoo.core.progress import Progress, SilentProgress
from vision_zoo.data.dataset import Split
from vision_zoo.exporting.embeddings import WithEmbeddings
from vision_zoo.training.classifier import ImageClassifier
from vision_zoo.training.evaluate import evaluate, in_batches

_SINGLE_IMAGES = 64
_UNFAMILIAR_PER_CENT = 2
_ROUNDING = 1e-6  # of an image: two of a thousand are 0.2 points, in floating point a little more
_LEAST_COSINE = 0.95
"""Mean cosine similarity of the embeddings of a graph in fewer bits and the checkpoint's."""

_ENOUGH_IMAGES = 500
"""To judge a graph in fewer bits by; where the test split has fewer, training images are looked at, too."""


@dataclass(frozen=True)
class Tolerance:
    """What a graph may differ by from its checkpoint.

    `logit_difference` is relative to the largest logit, absolute where all are below 1; None sets no limit.
    `accuracy_loss` is a fraction of the test images; above 0 it always allows a single image.
    """

    argmax_agreement: float
    logit_difference: float | None
    accuracy_loss: float


FULL_PRECISION = Tolerance(argmax_agreement=0.9999, logit_difference=1e-3, accuracy_loss=0.0)
REDUCED_PRECISION = Tolerance(argmax_agreement=0.9, logit_difference=None, accuracy_loss=0.002)


@dataclass(frozen=True)
class Verification:
    """`argmax_agreement` and both accuracies are fractions of `images`; `accuracy` is the graph's.

    `ood_energy_threshold` is the 2nd percentile of the energy of the graph's logits over the images.
    """

    images: int
    argmax_agreement: float
    max_logit_difference: float
    checkpoint_accuracy: float
    accuracy: float
    ood_energy_threshold: float


def verify_graph(
    content: bytes,
    classifier: ImageClassifier,
    split: Split,
    tolerance: Tolerance = FULL_PRECISION,
    *,
    more: Split | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Compare a serialised graph with `classifier` on every image of `split`, in batches and one by one.

    Both run in single precision on the CPU, where no TF32 can blur the comparison. Where the graph may differ and
    `split` is small, images of `more` count for the agreement as well.

    Raises:
        ExportError: the graph does not load or run, or it differs by more than the tolerances.
    """
    progress = progress or SilentProgress()
    progress.start("verifying", 2 * len(split), "images")
    expected = evaluate(classifier, split)
    progress.advance(len(split))
    further = None if more is None or tolerance.logit_difference is not None else further_images(split, more)
    return verify_logits(
        content,
        split,
        expected.logits,
        tolerance,
        further=None
        if further is None
        else (np.asarray(further.images), evaluate(classifier, further).predictions),
        progress=progress,
    )


def further_images(split: Split, more: Split) -> Split | None:
    """Images of `more` that count for the agreement of a graph that may differ; None where `split` has enough."""
    missing = min(len(more), _ENOUGH_IMAGES - len(split))
    return more.spread(missing) if missing > 0 else None


def verify_logits(
    content: bytes,
    split: Split,
    expected: NDArray[np.float32],
    tolerance: Tolerance,
    *,
    further: tuple[NDArray[np.uint8], NDArray[np.int64]] | None = None,
    of: str = "checkpoint",
    options: Any = None,
    progress: Progress | None = None,
) -> Verification:
    """Compare a serialised graph with the logits `expected` `[n, classes]` of every image of `split`.

    `further` are images with the classes that they should get, which count for the agreement as well. `of` names what
    gave those answers, `options` are those of the session.

    Raises:
        ExportError: as `verify_graph`.
    """
    logits, probabilities = run_graph(content, split.images, options=options, progress=progress)
    single, _ = run_graph(content, split.images[:_SINGLE_IMAGES], batch_size=1, options=options)
    difference = max(
        float(np.abs(logits - expected).max()),
        float(np.abs(single - expected[: len(single)]).max()),
    )
    predictions = expected.argmax(axis=1)
    verification = Verification(
        images=len(split),
        argmax_agreement=float((logits.argmax(axis=1) == predictions).mean()),
        max_logit_difference=difference,
        checkpoint_accuracy=float((predictions == split.labels).mean()),
        accuracy=float((logits.argmax(axis=1) == split.labels).mean()),
        ood_energy_threshold=ood_energy_threshold(logits),
    )
    if not np.isfinite(logits).all() or not np.allclose(probabilities.sum(axis=1), 1, atol=1e-4):
        raise ExportError("the graph returns non-finite values or no probabilities; nothing was written")
    agreed, images = verification.argmax_agreement * verification.images, verification.images
    if further is not None:
        found = run_graph(content, further[0], options=options)[0].argmax(axis=1)
        agreed += float((found == further[1]).sum())
        images += len(found)
    largest = float(np.abs(expected).max())
    require(verification, tolerance, agreed / images, images, largest_logit=largest, of=of)
    return verification


def ood_energy_threshold(logits: NDArray[np.float32]) -> float:
    """The 2nd percentile of the energy of logits `[n, classes]`."""
    return float(np.percentile(energy(logits), _UNFAMILIAR_PER_CENT))


def require(
    verification: Verification,
    tolerance: Tolerance,
    agreement: float,
    images: int,
    *,
    largest_logit: float,
    of: str = "checkpoint",
) -> None:
    """Raise ExportError where `verification`, or the agreement on so many images, is beyond `tolerance`."""
    limit = None
    if tolerance.logit_difference is not None:
        limit = tolerance.logit_difference * max(1.0, largest_logit)
    if agreement < tolerance.argmax_agreement or (
        limit is not None and verification.max_logit_difference > limit
    ):
        expected = "any" if limit is None else f"at most {limit:.3g}"
        raise ExportError(
            f"the graph does not predict what the {of} predicts: argmax agreement {agreement:.4%} "
            f"(expected at least {tolerance.argmax_agreement:.2%}), largest logit difference "
            f"{verification.max_logit_difference:.3g} (expected {expected}) on {images} images; nothing was written"
        )
    lost = (verification.checkpoint_accuracy - verification.accuracy) * verification.images
    allowed = max(1.0, tolerance.accuracy_loss * verification.images) if tolerance.accuracy_loss else 0.0
    if lost > allowed + _ROUNDING:
        raise ExportError(
            f"the graph's accuracy is {100 * lost / verification.images:.2f} points below the {of}'s "
            f"{verification.checkpoint_accuracy:.2%}: it loses {lost:.0f} of {verification.images:,} test images, "
            f"expected at most {int(allowed + _ROUNDING)}; nothing was written"
        )


def verify_embeddings(
    content: bytes, classifier: WithEmbeddings, split: Split, tolerance: Tolerance = FULL_PRECISION
) -> float:
    """Compare a graph's embeddings with the checkpoint's on every image of `split`, in batches and one by one.

    Returns the largest difference. It may be as large as that of logits may be; where those have no limit, the mean
    cosine similarity has one.

    Raises:
        ExportError: the embeddings differ by more.
    """
    images = split.images
    expected = torch.cat(
        list(in_batches(lambda batch: classifier(batch)[1], images, torch.device("cpu")))
    ).numpy()
    return compare_embeddings(content, images, expected, tolerance)


def compare_embeddings(
    content: bytes,
    images: NDArray[np.uint8],
    expected: NDArray[np.float32],
    tolerance: Tolerance,
    *,
    of: str = "checkpoint",
    options: Any = None,
) -> float:
    """Do as `verify_embeddings` with the embeddings `expected` `[n, width]` of `images`, which `of` gave."""
    (found,) = run_graph(content, images, outputs=[EMBEDDINGS], options=options)
    (single,) = run_graph(
        content, images[:_SINGLE_IMAGES], batch_size=1, outputs=[EMBEDDINGS], options=options
    )
    differences = (found - expected, single - expected[: len(single)])
    difference = float(np.max([np.abs(values).max() for values in differences]))
    cosine, limit = float(_cosines(found, expected).mean()), tolerance.logit_difference
    allowed = np.inf if limit is None else limit * max(1.0, float(np.abs(expected).max()))
    if not (difference <= allowed and cosine >= _LEAST_COSINE):
        raise ExportError(
            f"the graph's embeddings are not the {of}'s: largest difference {difference:.3g} (expected at most "
            f"{allowed:.3g}), mean cosine similarity {cosine:.4f} (expected at least {_LEAST_COSINE}); "
            "nothing was written"
        )
    return difference


def _cosines(found: NDArray[np.float32], expected: NDArray[np.float32]) -> NDArray[np.float64]:
    products = (found.astype(np.float64) * expected).sum(axis=1)
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    alike = (found == expected).all(axis=1)  # nothing but zeros has no direction
    return np.where(alike, 1.0, products / np.maximum(lengths, np.finfo(np.float32).tiny))


def run_graph(
    content: bytes,
    images: NDArray[np.uint8],
    *,
    batch_size: int = onnx_runtime.BATCH,
    outputs: Sequence[str] = OUTPUT_NAMES,
    options: Any = None,
    progress: Progress | None = None,
) -> tuple[NDArray[np.float32], ...]:
    """The `outputs` of a serialised graph for images uint8 `[n, …]`, float32 `[n, width]` each.

    Without session `options` it runs on all cores.

    Raises:
        ExportError: the graph does not load or run.
    """
    try:
        session = onnx_runtime.make_session(content, options or onnx_runtime.session_options(threads=0))
        parts = []
        for batch in onnx_runtime.batches(images, batch_size):
            parts.append(session.run(list(outputs), {INPUT_NAME: batch}))
            if progress is not None:
                progress.advance(len(batch))
    except Exception as error:  # onnxruntime's errors share no base class
        raise ExportError(
            f"ONNX Runtime cannot run the exported graph ({error}); nothing was written"
        ) from error
    return tuple(map(np.concatenate, zip(*parts, strict=True)))
