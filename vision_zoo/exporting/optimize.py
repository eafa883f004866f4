"""Optimize an exported file for this machine: the fastest graph and session options that pass verification."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vision_zoo.artifact import manifest
from vision_zoo.artifact.familiarity import Gaussians
from vision_zoo.artifact.metadata import Metadata, file_name
from vision_zoo.artifact.session_options import SessionOptions, TunedOptions
from vision_zoo.core import atomic
from vision_zoo.core.environment import has_vnni
from vision_zoo.core.errors import DataError, ExportError, UsageError
from vision_zoo.core.progress import Progress, SilentProgress
from vision_zoo.core.tables import counted
from vision_zoo.data.dataset import Split
from vision_zoo.data.own_folder import require_outside
from vision_zoo.exporting.calibrate import calibrate_graph, described_file, read_file, with_temperature
from vision_zoo.exporting.calibration import MIN_IMAGES
from vision_zoo.exporting.calibration_images import images_for, looks_seen, require_unseen, splits_for
from vision_zoo.exporting.export import stripped
from vision_zoo.exporting.graph import has_branches
from vision_zoo.exporting.quantize import to_precision
from vision_zoo.exporting.reference import Reference
from vision_zoo.exporting.session_search import (
    PLAIN,
    Graph,
    Measured,
    SearchSettings,
    choose,
    search,
    unsteady,
)
from vision_zoo.exporting.verify import Verification

SEVEN_BITS, EIGHT_BITS = "int8, 7-bit weights", "int8, 8-bit weights"
"""Names of graphs in 8-bit integers: with weights of a reduced range, and of the full range."""


@dataclass(frozen=True)
class Candidate:
    """A graph with session options, and what became of it.

    `accuracy` and `argmax_agreement` (with the original file) are fractions of the test images; `milliseconds` are the
    median of a call by batch size; `speedup` is against the original file with the usual options, in turns. The fastest
    were measured again together, and are `final`. A graph that is left out has a `reason`, and is not measured.
    """

    graph: str
    accuracy: float | None = None
    argmax_agreement: float | None = None
    options: SessionOptions | None = None
    milliseconds: Mapping[int, float] | None = None
    speedup: float | None = None
    final: bool = False
    chosen: bool = False
    reason: str = ""


@dataclass(frozen=True)
class OptimizedFile:
    """The file at `path`: the first of `candidates` is the original, and one is `chosen`.

    `images` is the number of test images, `options` are those that are stored, `notes` what else the user should know.
    """

    path: Path
    replaced: bool
    images: int
    options: TunedOptions
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...] = ()

    @property
    def original(self) -> Candidate:
        """The original file with the usual options."""
        return self.candidates[0]

    @property
    def chosen(self) -> Candidate:
        """What was written."""
        return next(candidate for candidate in self.candidates if candidate.chosen)

    @property
    def shown(self) -> list[Candidate]:
        """Finalists, the fastest candidate of each other graph, and those that were left out."""
        found: list[Candidate] = []
        for one in sorted(self.candidates, key=lambda one: (not one.final, -(one.speedup or 0))):
            if one.final or one.reason or one.graph not in {other.graph for other in found}:
                found.append(one)
        return found


def optimize_file(
    path: Path,
    settings: SearchSettings,
    *,
    dataset: str | None = None,
    data_dir: Path | None = None,
    output_dir: Path | None = None,
    progress: Progress | None = None,
) -> OptimizedFile:
    """Write what is fastest on this machine's CPU of an exported file, its 8-bit versions and session options.

    Its 8-bit versions are verified against the file itself on the test split of its dataset, or on the pictures of
    `dataset` `folder:PATH`, with the tolerances of `export`. A file that computes in another precision than single is not
    quantised: only its options are chosen. The result is in `output_dir`, by default beside the file: in its place, or
    as `<name>-int8.onnx`.

    Raises:
        UsageError, DataError: as `calibration_images.images_for`.
        ModelError: the file is missing, damaged, foreign or not the one that its manifest lists.
        ExportError: the file does not run.
        StorageError: the folder cannot be written.
    """
    progress = progress or SilentProgress()
    atomic.require_writable(output_dir or path.parent)
    if dataset is not None and output_dir is not None:
        require_outside(dataset, output_dir, "--output-dir")
    content, metadata, gaussians = read_file(path)
    splits, seen = splits_for(metadata, dataset=dataset, data_dir=data_dir, progress=progress)
    original = Graph(metadata.precision, content, tuple(metadata.outputs), metadata.full_range)
    reference = Reference.of(original, splits, progress)
    verified = {original: reference.of_original()}
    seen = seen or looks_seen(metadata, len(splits.test), verified[original].accuracy)
    left_out = []
    for name in _names(metadata):
        try:
            graph = _quantised(original, name, splits.train)
            verified[graph] = reference.verify(graph, PLAIN, progress)
        except ExportError as error:
            left_out.append(Candidate(name, reason=_reason(error)))
    images, branches = np.asarray(splits.test.images), has_branches(content)
    found = search(list(verified), images, settings, branches=branches, progress=progress)
    chosen = choose(found, list(verified))
    while chosen.options.optimization != "all" or chosen.options.parallel:  # verified with neither
        try:
            verified[chosen.graph] = reference.verify(chosen.graph, chosen.options, progress)
            break
        except ExportError as error:
            left_out.append(Candidate(chosen.graph.name, options=chosen.options, reason=_reason(error)))
            found.remove(chosen)
            chosen = choose(found, list(verified))
    tuned = TunedOptions.measured_here(chosen.options, settings.batch_sizes)
    name, notes = path.name, list[str]()
    if chosen.graph is not original:
        former, name = metadata, file_name(path.stem, "int8")
        variant = None if seen else splits.variant
        metadata = _described(former, verified[chosen.graph], variant, chosen.graph.full_range)
        content = stripped(chosen.graph.content)
        content, metadata, gaussians, notes = _calibrated(content, metadata, former, dataset, data_dir)
    target = (output_dir or path.parent) / name
    replaced = target.exists()
    described = replace(metadata, session_options=tuned)
    manifest.publish(target, described_file(content, described, gaussians))
    rows = tuple(_candidate(one, verified[one.graph], chosen=one is chosen) for one in found)
    if seen:
        notes.append(
            "the file may have been trained on these images: accuracies on them say nothing about new images then, and "
            "the accuracy in the file stays as it was"
        )
    return OptimizedFile(
        target, replaced, len(splits.test), tuned, (*rows, *left_out), (*unsteady(found), *notes)
    )


def _names(metadata: Metadata) -> Sequence[str]:
    """The 8-bit graphs to try: with VNNI a reduced range of weights has no use."""
    if metadata.precision != "fp32":
        return ()
    return (EIGHT_BITS,) if has_vnni() else (SEVEN_BITS, EIGHT_BITS)


def _quantised(original: Graph, name: str, training: Split) -> Graph:
    full_range = name == EIGHT_BITS
    plain = with_temperature(original.content, 1.0)
    content = to_precision(plain, "int8", training, full_range=full_range)
    return Graph(name, content, original.outputs, full_range)


def _reason(error: ExportError) -> str:
    return str(error).removesuffix("; nothing was written")


def _described(
    metadata: Metadata, verification: Verification, variant: str | None, full_range: bool
) -> Metadata:
    """The metadata of a graph in 8-bit integers; its accuracy is the original's without the test images' `variant`."""
    described = replace(
        metadata,
        precision="int8",
        weights="int8",
        full_range=full_range,
        ood_energy_threshold=round(verification.ood_energy_threshold, 4),
        calibration=None,
    )
    if variant is None:
        return described
    return replace(
        described,
        test_accuracy=verification.accuracy,
        test_images=verification.images,
        data_variant=variant,
    )


def _calibrated(
    content: bytes, metadata: Metadata, former: Metadata, dataset: str | None, data_dir: Path | None
) -> tuple[bytes, Metadata, Gaussians | None, list[str]]:
    """The graph calibrated anew where the original was; else as it is, with a note where that is a loss."""
    if former.calibration is None:
        return content, metadata, None, []
    try:
        images = images_for(metadata, dataset=dataset, data_dir=data_dir)
        if len(images.split) < MIN_IMAGES:
            raise UsageError(f"{counted(len(images.split), 'image')} are too few")
        found = calibrate_graph(
            content, images.split, calibrated_on=images.calibrated_on, full_range=metadata.full_range
        )
        doubt = require_unseen(metadata, images, found.accuracy)
    except (UsageError, DataError) as error:
        return content, metadata, None, [f"the 8-bit file is not calibrated, as the original is: {error}"]
    notes = [] if doubt is None else [doubt]
    return found.content, replace(metadata, calibration=found.calibration), found.gaussians, notes


def _candidate(one: Measured, verification: Verification, *, chosen: bool) -> Candidate:
    return Candidate(
        graph=one.graph.name,
        accuracy=verification.accuracy,
        argmax_agreement=verification.argmax_agreement,
        options=one.options,
        milliseconds={size: round(value, 4) for size, value in one.milliseconds.items()},
        speedup=round(1 / one.ratio, 3),
        final=one.final,
        chosen=chosen,
    )
