"""Export a finished run as one verified ONNX file."""

import functools
import importlib
import logging
import math
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vision_zoo.architectures import REGISTRY as ARCHITECTURES
from vision_zoo.artifact import manifest
from vision_zoo.artifact.metadata import (
    EMBEDDINGS,
    INPUT_NAME,
    OUTPUT_NAMES,
    Metadata,
    file_name,
)
from vision_zoo.core import atomic, environment
from vision_zoo.core.choices import Precision
from vision_zoo.core.errors import ExportError, UsageError
from vision_zoo.core.progress import Progress, SilentProgress
from vision_zoo.data.dataset import Dataset, Splits
from vision_zoo.data.own_folder import require_outside
from vision_zoo.exporting.calibrate import Calibrated, calibrate_graph, described_file
from vision_zoo.exporting.calibration import MIN_IMAGES
from vision_zoo.exporting.embeddings import WithEmbeddings
from vision_zoo.exporting.quantize import store_weights, to_precision
from vision_zoo.exporting.verify import (
    FULL_PRECISION,
    REDUCED_PRECISION,
    Verification,
    verify_embeddings,
    verify_graph,
)
from vision_zoo.recipes.options import without_paths
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training.classifier import ImageClassifier, build_classifier, count_macs, count_parameters
from vision_zoo.training.loader import training_splits
from vision_zoo.training.run_data import load_for_run
from vision_zoo.training.run_directory import RunDirectory
from vision_zoo.training.run_outputs import cross_validated
from vision_zoo.training.weights import load_weights

OPSET = 18  # above it, some operators were reported to leave the GPU (ultralytics pull request 25915)
IR_VERSION = 8
"""What opset 18 needs. torch writes 10, which ONNX Runtime below 1.18 refuses to load."""


@dataclass(frozen=True)
class ExportedModel:
    """`embeddings` is the width of the output of that name, None without one.

    Where `refitted`, the file is fitted to the test images, too: both accuracies of its `verification` are those of
    before, and its agreement and logit difference those of the file.
    """

    path: Path
    verification: Verification
    replaced: bool
    embeddings: int | None = None
    refitted: bool = False


def export_onnx(
    run_path: Path,
    output_dir: Path,
    *,
    data_dir: Path | None = None,
    dataset: str | None = None,
    precision: Precision = "fp32",
    weights: Precision = "fp32",
    embeddings: bool = False,
    refitted: bool = True,
    scored: Verification | None = None,
    progress: Progress | None = None,
) -> ExportedModel:
    """Export a finished run to `<recipe>.onnx` in `output_dir` after verifying it on the whole test split.

    A `precision` other than fp32, in which the graph computes, is added to the name: `<recipe>-int8.onnx`. `weights` is
    how an fp32 graph stores large weights. The test split is in `data_dir`, by default the run's own data folder;
    `dataset` is `folder:PATH` where the run's folder of pictures was moved. Labels and input format are the run's. With
    `embeddings` the file has them as a third output. Of a run that has weights that are fitted to held-out images, too,
    those are exported unless `refitted` is false. Where test images are among them, its accuracy is that of the weights
    before, in the file whose verification is `scored`, by default in one that is made for it.

    The file is calibrated on the validation split, where the run has one of at least `MIN_IMAGES` images that its weights
    were not fitted to. Else a dense layer that was solved is calibrated on its cross-validation: each image's logits are
    of a layer that was fitted without it. Those were fitted to fewer images than the layer in the file, so that sets
    may be larger than they need be, not smaller. The test split is left to judge the file by.

    Raises:
        UsageError: `weights` together with another precision than fp32.
        RunError: no finished run there, or the data is not what it was trained on.
        DataError: the test split is not at hand.
        ExportError: the graph does not predict what the checkpoint predicts, or the network has no embeddings; nothing is
            written.
        StorageError: the folder cannot be written.
    """
    if precision != "fp32" and weights != "fp32":
        raise UsageError(
            f"--weights is for --precision fp32; a file in {precision} already stores its weights that way"
        )
    run = RunDirectory.open(run_path)
    run.require_finished()
    atomic.require_writable(output_dir)
    recipe = run.recipe()
    require_outside(dataset or recipe.data.dataset, output_dir, "--output-dir")
    data, splits = load_for_run(run, recipe, data_dir=data_dir, dataset=dataset)
    classifier = build_classifier(recipe, data).eval()
    embedding = WithEmbeddings(classifier, data.input.shape) if embeddings else None
    shown = progress or SilentProgress()

    def graph_of(checkpoint: Path) -> tuple[bytes, Calibrated | None, Verification]:
        load_weights(checkpoint, classifier.network)
        shown.start(f"building the graph of {recipe.name}", 1)
        content = store_weights(to_onnx(classifier, data.input.shape, embedding), weights)
        content = to_precision(content, precision, splits.train)
        calibrated = _calibrated(content, run, splits, recipe, refitted=checkpoint == run.refitted)
        if calibrated is not None:
            content = calibrated.content
        tolerance = FULL_PRECISION if precision == weights == "fp32" else REDUCED_PRECISION
        verification = verify_graph(
            content, classifier, splits.test, tolerance, more=splits.train, progress=shown
        )
        if embedding is not None:
            verify_embeddings(content, embedding, splits.test, tolerance)
        return content, calibrated, verification

    refitted = refitted and run.refitted.is_file()
    content, calibrated, verification = graph_of(run.refitted if refitted else run.best)
    refitted = refitted and splits.drawn  # a test split of the user's own is still held out
    if refitted:
        verification = replace(
            scored or graph_of(run.best)[-1],
            argmax_agreement=verification.argmax_agreement,
            max_logit_difference=verification.max_logit_difference,
        )
    metadata = Metadata(
        recipe=recipe.name,
        architecture=recipe.architecture,
        architecture_arguments=_arguments(recipe, data),
        dataset=data.name,
        labels=data.labels,
        input=data.input,
        precision=precision,
        weights=weights if precision == "fp32" else precision,
        opset=OPSET,
        parameters=count_parameters(classifier.network),
        macs=count_macs(classifier, data),
        test_accuracy=verification.accuracy,
        test_images=len(splits.test),
        ood_energy_threshold=round(verification.ood_energy_threshold, 4),
        embeddings=None if embedding is None else embedding.width,
        refitted=refitted,
        calibration=None if calibrated is None else calibrated.calibration,
        data_variant=splits.variant,
        versions=environment.versions() | ARCHITECTURES.package_of(recipe.architecture),
        settings=without_paths(recipe.settings(), data.name),
    )
    path = output_dir / file_name(recipe.name, precision)
    replaced = path.exists()
    gaussians = None if calibrated is None else calibrated.gaussians
    manifest.publish(path, described_file(stripped(content), metadata, gaussians))
    return ExportedModel(path, verification, replaced, metadata.embeddings, refitted)


def _calibrated(
    content: bytes, run: RunDirectory, splits: Splits, recipe: Recipe, *, refitted: bool
) -> Calibrated | None:
    """The graph calibrated on the run's validation split, else on its cross-validation; None with too few images."""
    parts = training_splits(splits, recipe)
    held_out = None if refitted else parts.get("validation", splits.validation)
    if held_out is not None and len(held_out) >= MIN_IMAGES:
        return calibrate_graph(content, held_out, calibrated_on="validation split")
    known = cross_validated(run, parts["train"])
    if known is None or len(known[0]) < MIN_IMAGES:
        return None
    images, logits = known
    found = calibrate_graph(content, images, calibrated_on="cross-validation", logits=logits)
    # Layers that were fitted to far fewer images give logits of another spread: many images would be unfamiliar.
    return found if len(images) == len(parts["train"]) else replace(found, gaussians=None)


def _arguments(recipe: Recipe, dataset: Dataset) -> dict[str, Any]:
    # A grayscale image that the graph repeats to three channels: the network takes more than the input has.
    repeated = {} if len(recipe.data.mean) == dataset.input.channels else {"channels": len(recipe.data.mean)}
    flipped = {"test_time_flip": True} if recipe.test_time_flip else {}
    return {**repeated, **flipped, **recipe.architecture_arguments}


class _Exported(nn.Module):
    """What the file computes: logits and probabilities of uint8 images, and embeddings where `classifier` gives them."""

    def __init__(self, classifier: ImageClassifier | WithEmbeddings) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        given = self.classifier(image)
        logits, *embeddings = given if isinstance(self.classifier, WithEmbeddings) else (given,)
        return logits, logits.softmax(dim=1), *embeddings


def to_onnx(
    classifier: ImageClassifier, shape: tuple[int, int, int], embedding: WithEmbeddings | None = None
) -> bytes:
    """The classifier in evaluation mode as a serialised ONNX model; ExportError if torch cannot export it.

    With `embedding`, which is of `classifier`, the model has the output `embeddings` too.
    """
    # Two images, not one: torch.export would take a batch of one for a constant.
    example = torch.zeros((2, *shape), dtype=torch.uint8)
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    _read_operators_once()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                _Exported(embedding or classifier).eval(),
                (example,),
                input_names=[INPUT_NAME],
                output_names=[*OUTPUT_NAMES, *([] if embedding is None else [EMBEDDINGS])],
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
                custom_translation_table={torch.ops.aten.gelu.default: _gelu},
                verbose=False,
            )
        if program is None:
            raise ExportError("torch returned no ONNX program for this architecture")
        return bytes(program.model_proto.SerializeToString())
    except torch.onnx.OnnxExporterError as error:
        reason = str(error).strip().splitlines()[0]
        raise ExportError(
            f"torch cannot export this architecture to ONNX ({reason}); nothing was written"
        ) from error
    finally:
        logger.setLevel(level)


def _gelu(x: Any, approximate: str = "none") -> Any:
    """GELU in the order in which ONNX Runtime recognises it, and computes it in one pass; torch's own order it does not.

    The factor 0.5 is exact: its place changes no bit.
    """
    op: Any = importlib.import_module("onnxscript").opset18
    if approximate == "tanh":
        cubic = op.Mul(x, op.Add(op.Mul(op.Mul(x, x), op.CastLike(0.044715, x)), op.CastLike(1.0, x)))
        part = op.Tanh(op.Mul(cubic, op.CastLike(math.sqrt(2 / math.pi), x)))
    else:
        part = op.Erf(op.Div(x, op.CastLike(math.sqrt(2), x)))
    return op.Mul(op.Mul(x, op.Add(part, op.CastLike(1.0, x))), op.CastLike(0.5, x))


def _read_operators_once() -> None:
    """Let torch.onnx read the sources of its operators once a process: by itself it does for every file, in 2 s."""
    try:
        apis: Any = importlib.import_module("torch.onnx._internal.exporter._registration").onnxscript_apis
        if not hasattr(apis.get_torchlib_ops, "cache_info"):
            apis.get_torchlib_ops = functools.cache(apis.get_torchlib_ops)
    except (ImportError, AttributeError):  # a version of torch that has them elsewhere: only time is lost
        pass


@functools.cache
def load_exporter() -> None:
    """Export a classifier of one layer: the first export of a process loads libraries, which takes seconds."""
    to_onnx(ImageClassifier(nn.Flatten(), mean=(0.5,), std=(0.5,)), (1, 1, 1))


def stripped(content: bytes) -> bytes:
    """A serialised model of `IR_VERSION` without what torch and the converters leave in it."""
    import onnx

    model = onnx.load_model_from_string(content)
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if opsets.get("") != OPSET:
        raise ExportError(f"torch wrote opset {opsets.get('')}, expected {OPSET}; nothing was written")
    used = {node.domain for node in model.graph.node}  # quantising leaves domains that no node is of
    unused = [entry for entry in model.opset_import if entry.domain and entry.domain not in used]
    for entry in unused:
        model.opset_import.remove(entry)
    for node in model.graph.node:  # torch leaves source paths and stack traces of this machine there
        del node.metadata_props[:]
        node.doc_string = ""
    del model.graph.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer):
        del value.metadata_props[:]
    model.ir_version = IR_VERSION
    return bytes(model.SerializeToString())
