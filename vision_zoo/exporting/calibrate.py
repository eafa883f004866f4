"""Calibrate a graph: scale what its softmax takes, and fit what its file says of its answers."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_zoo.artifact import manifest
from vision_zoo.artifact.calibration import Calibration
from vision_zoo.artifact.familiarity import FALSE_ALARMS, FAMILIARITY_KEY, Gaussians
from vision_zoo.artifact.metadata import METADATA_KEY, OUTPUT_NAMES, Metadata, metadata_of
from vision_zoo.core import atomic, onnx_runtime, regular_file
from vision_zoo.core.errors import ExportError, ModelError, UsageError
from vision_zoo.core.progress import Progress
from vision_zoo.core.statistics import softmax
from vision_zoo.core.tables import counted
from vision_zoo.data.dataset import Split
from vision_zoo.data.own_folder import require_outside
from vision_zoo.exporting.calibration import MIN_IMAGES, fit_calibration, fit_familiarity
from vision_zoo.exporting.calibration_images import images_for, require_unseen
from vision_zoo.exporting.verify import run_graph

_MAX_BYTES = 2**31
_INVERSE, _SCALED = "inverse_temperature", "scaled_logits"
_SAME = 1e-5
_CHECKED = 64
"""Images that a graph is run on where its logits are not needed."""


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A calibrated graph, serialised, and what its file says of it; `accuracy` is a fraction of the images."""

    content: bytes
    calibration: Calibration
    gaussians: Gaussians | None
    accuracy: float


@dataclass(frozen=True, eq=False)
class CalibratedFile:
    """The file at `path` with its `calibration`; `rest` are images that it can be judged on, where there are some."""

    path: Path
    calibration: Calibration
    rest: Split | None


def calibrate_graph(
    content: bytes,
    images: Split,
    *,
    calibrated_on: str,
    logits: NDArray[np.float32] | None = None,
    full_range: bool = False,
    false_alarms: float = FALSE_ALARMS,
) -> Calibrated:
    """Calibrate a serialised graph on labelled `images` that its network was not trained on, at least `MIN_IMAGES`.

    `logits`, `[images, classes]`, are those of other networks of its kind, where the graph has seen the images and they
    have not; by default they are the graph's. `full_range` as in the metadata of its file, `false_alarms` as for
    `fit_familiarity`.

    Raises:
        ExportError: the graph does not run, or would predict something else; nothing is written.
    """
    pixels, labels = np.asarray(images.images), np.asarray(images.labels)
    looked_at = pixels if logits is None else pixels[:_CHECKED]
    options = onnx_runtime.session_options(threads=0, exact_products=full_range)
    own, _ = run_graph(content, looked_at, options=options)
    logits = own if logits is None else logits
    if not np.isfinite(own).all():
        raise ExportError("the graph returns non-finite values; nothing was written")
    calibration = fit_calibration(logits, labels, calibrated_on=calibrated_on)
    changed = with_temperature(content, calibration.temperature)
    again, probabilities = run_graph(changed, looked_at, options=options)
    expected = softmax(own / np.float32(calibration.temperature))
    limit = _SAME * max(1.0, float(np.abs(own).max()))
    if (
        np.abs(again - own).max() > limit
        or (again.argmax(axis=1) != own.argmax(axis=1)).any()
        or np.abs(probabilities - expected).max() > 1e3 * _SAME  # of a graph in half precision
    ):
        raise ExportError("the calibrated graph does not give the logits that it gave; nothing was written")
    accuracy = float((logits.argmax(axis=1) == labels).mean())
    return Calibrated(
        changed, calibration, fit_familiarity(pixels, logits, false_alarms=false_alarms), accuracy
    )


def calibrate_file(
    path: Path,
    *,
    dataset: str | None = None,
    data_dir: Path | None = None,
    output_dir: Path | None = None,
    progress: Progress | None = None,
    false_alarms: float = FALSE_ALARMS,
) -> CalibratedFile:
    """Calibrate an exported file without its run, on the images of `images_for`: in place, or into `output_dir`.

    Its logits and predictions stay; only what it takes for probabilities and says of them is new. `false_alarms` as for
    `fit_familiarity`.

    Raises:
        UsageError: there are fewer images than `MIN_IMAGES`, or as `images_for`.
        DataError: as `images_for`, or the file was trained on the images.
        ModelError: the file is missing, damaged, foreign or not the one that its manifest lists.
        ExportError: the graph does not run, or would predict something else; nothing is written.
        StorageError: the folder cannot be written.
    """
    atomic.require_writable(output_dir or path.parent)
    if dataset is not None and output_dir is not None:
        require_outside(dataset, output_dir, "--output-dir")
    content, metadata, _ = read_file(path)
    images = images_for(metadata, dataset=dataset, data_dir=data_dir, progress=progress)
    if len(images.split) < MIN_IMAGES:
        raise UsageError(
            f"{path} cannot be calibrated on {counted(len(images.split), 'image')}; expected {MIN_IMAGES} or more"
        )
    found = calibrate_graph(
        content,
        images.split,
        calibrated_on=images.calibrated_on,
        full_range=metadata.full_range,
        false_alarms=false_alarms,
    )
    doubt = require_unseen(metadata, images, found.accuracy)
    if doubt is not None and progress is not None:
        progress.line(f"warning: {doubt}")
    target = path if output_dir is None else output_dir / path.name
    described = replace(metadata, calibration=found.calibration)
    manifest.publish(target, described_file(found.content, described, found.gaussians))
    return CalibratedFile(target, found.calibration, images.rest)


def read_file(path: Path) -> tuple[bytes, Metadata, Gaussians | None]:
    """The content of an exported file, its metadata, and the Gaussians of familiar images where it has some.

    Raises:
        ModelError: it is no exported file, or its manifest lists another.
    """
    import onnx

    try:
        content = regular_file.read(path, max_bytes=_MAX_BYTES)
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's errors share no base class
        raise ModelError(f"{path} is not an ONNX file that can be read; export the model again") from error
    manifest.verify(path, content)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    metadata, familiarity = metadata_of(properties, name=str(path)), properties.get(FAMILIARITY_KEY)
    if familiarity is None:
        return content, metadata, None
    return content, metadata, Gaussians.from_json(familiarity, len(metadata.labels), name=str(path))


def described_file(content: bytes, metadata: Metadata, gaussians: Gaussians | None) -> bytes:
    """A serialised model with its metadata, checked."""
    import onnx

    model = onnx.load_model_from_string(content)
    familiarity = {} if gaussians is None else {FAMILIARITY_KEY: gaussians.to_json()}
    onnx.helper.set_model_props(model, {METADATA_KEY: metadata.to_json(), **familiarity})
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def with_temperature(content: bytes, temperature: float) -> bytes:
    """A serialised model whose softmax takes the logits over `temperature`; at 1 the logits themselves.

    One multiplication of `[batch, classes]` values is all that is added. An earlier one is taken away.

    Raises:
        ExportError: the probabilities are not the softmax of something.
    """
    import onnx

    model = onnx.load_model_from_string(content)
    graph = model.graph
    softmax_node = _softmax(graph)
    for node in [node for node in graph.node if list(node.output) == [_SCALED]]:
        softmax_node.input[0] = node.input[0]
        graph.node.remove(node)
    for tensor in [tensor for tensor in graph.initializer if tensor.name == _INVERSE]:
        graph.initializer.remove(tensor)
    for value in [value for value in graph.value_info if value.name == _SCALED]:
        graph.value_info.remove(value)
    if temperature != 1:
        kind = np.float32 if softmax_node.output[0] == OUTPUT_NAMES[1] else np.float16
        graph.initializer.append(
            onnx.numpy_helper.from_array(np.array(1 / temperature, dtype=kind), _INVERSE)
        )
        scaled = onnx.helper.make_node("Mul", [softmax_node.input[0], _INVERSE], [_SCALED], name=_SCALED)
        place = next(
            index for index, node in enumerate(graph.node) if node is softmax_node or node == softmax_node
        )
        softmax_node.input[0] = _SCALED
        graph.node.insert(place, scaled)
    return bytes(model.SerializeToString())


def _softmax(graph: Any) -> Any:
    """The node that makes the probabilities, which half precision widens afterwards."""
    wanted = OUTPUT_NAMES[1]
    while True:
        node = next((node for node in graph.node if wanted in node.output), None)
        if node is not None and node.op_type == "Cast":
            wanted = node.input[0]
        elif node is not None and node.op_type == "Softmax":
            return node
        else:
            raise ExportError("the graph's probabilities are not a softmax; export the model again")
