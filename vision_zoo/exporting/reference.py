"""The answers of an exported file, which its other graphs are compared with."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision_zoo.artifact.metadata import EMBEDDINGS
from vision_zoo.artifact.session_options import SessionOptions
from vision_zoo.core import onnx_runtime
from vision_zoo.core.errors import ExportError
from vision_zoo.core.progress import Progress
from vision_zoo.core.tables import counted
from vision_zoo.data.dataset import Split, Splits
from vision_zoo.exporting.calibration import MIN_IMAGES
from vision_zoo.exporting.session_search import Graph
from vision_zoo.exporting.verify import (
    FULL_PRECISION,
    REDUCED_PRECISION,
    Verification,
    compare_embeddings,
    further_images,
    ood_energy_threshold,
    run_graph,
    verify_logits,
)


@dataclass(frozen=True, eq=False)
class Reference:
    """The file's graph, `original`, and its answers: `logits` `[n, classes]` of the images of `test`.

    `further` are images with their classes, where the test split has few; `embeddings` `[n, width]` are of the test
    images, where the file has them.
    """

    original: Graph
    test: Split
    logits: NDArray[np.float32]
    further: tuple[NDArray[np.uint8], NDArray[np.int64]] | None
    embeddings: NDArray[np.float32] | None

    @classmethod
    def of(cls, original: Graph, splits: Splits, progress: Progress) -> "Reference":
        """Run a file's graph on the test split, and on training images where that is small; ExportError if it fails."""
        test = splits.test
        options = onnx_runtime.session_options(threads=0, exact_products=original.full_range)
        progress.start("running the original file", len(test), "images")
        logits, *_ = run_graph(original.content, test.images, options=options, progress=progress)
        if not np.isfinite(logits).all():
            raise ExportError("the file returns non-finite values; export the model again")
        more = None if splits.train is test else further_images(test, splits.train)
        further = None
        if more is not None:
            images = np.asarray(more.images)
            further = images, run_graph(original.content, images, options=options)[0].argmax(axis=1)
        embeddings = None
        if EMBEDDINGS in original.outputs:
            (embeddings,) = run_graph(original.content, test.images, options=options, outputs=[EMBEDDINGS])
        return cls(original, test, logits, further, embeddings)

    def of_original(self) -> Verification:
        """The original compared with itself: nothing is run again."""
        accuracy = float((self.logits.argmax(axis=1) == self.test.labels).mean())
        return Verification(
            images=len(self.test),
            argmax_agreement=1.0,
            max_logit_difference=0.0,
            checkpoint_accuracy=accuracy,
            accuracy=accuracy,
            ood_energy_threshold=ood_energy_threshold(self.logits),
        )

    def verify(self, graph: Graph, options: SessionOptions, progress: Progress) -> Verification:
        """Compare a graph, run with the level and mode of `options` on all cores, with the original's answers.

        Raises:
            ExportError: it differs by more than `export` would allow, or there are too few images to tell.
        """
        images = len(self.test) + (0 if self.further is None else len(self.further[1]))
        if graph is not self.original and images < MIN_IMAGES:
            raise ExportError(
                f"{counted(images, 'image')} are too few to verify it on; expected {MIN_IMAGES} or more"
            )
        tolerance = FULL_PRECISION if graph is self.original else REDUCED_PRECISION
        made = graph.options(options)
        if not options.parallel:
            made.intra_op_num_threads = 0
        progress.start(f"verifying {graph.name}", len(self.test), "images")
        verification = verify_logits(
            graph.content,
            self.test,
            self.logits,
            tolerance,
            further=None if graph is self.original else self.further,
            of="original file",
            options=made,
            progress=progress,
        )
        if self.embeddings is not None:
            images_of = np.asarray(self.test.images)
            compare_embeddings(
                graph.content, images_of, self.embeddings, tolerance, of="original file", options=made
            )
        return verification
