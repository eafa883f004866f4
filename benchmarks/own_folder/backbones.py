"""What 8-bit integers cost and gain on pretrained features: `results/<environment>/own_folder_backbones.json`.

A dense layer is solved on the frozen features of 50 CIFAR-10 images a class. The network is exported in single precision
and in 8-bit integers, calibrated on those images, with weights of all 8 bits on processors with VNNI and of 7 bits on
others, as `vision-zoo optimize` chooses them; both files classify the same 1,000 test images, and are timed in turn,
one image at a time on one thread. `efficientnet_lite0` is measured at several resolutions, to which images are scaled
inside the file.

    python -m benchmarks.own_folder.backbones

Four minutes; nothing else may run beside it. Networks that are not named keep their earlier rows.
"""

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.own_folder.rows import with_row
from vision_zoo.artifact.metadata import INPUT_NAME, OUTPUT_NAMES
from vision_zoo.core import json_file, onnx_runtime
from vision_zoo.core.environment import describe, has_vnni
from vision_zoo.core.own_folder_result import BackboneMeasurement, BackbonesResult
from vision_zoo.core.progress import progress_on_stderr
from vision_zoo.core.results import result_path, write_result
from vision_zoo.core.scenarios import single_stream
from vision_zoo.data import find_dataset
from vision_zoo.data.dataset import Split
from vision_zoo.exporting.export import to_onnx
from vision_zoo.exporting.quantize import to_precision
from vision_zoo.recipes import recipe_for
from vision_zoo.training.classifier import ImageClassifier, build_classifier
from vision_zoo.training.device import limit_threads
from vision_zoo.training.features import compute_features
from vision_zoo.training.head import solve
from vision_zoo.training.speedups import keep_freed_memory
from vision_zoo.training.weights import load_pretrained

ROOT = Path(__file__).resolve().parents[2]
DATASET = "cifar10"
BACKBONES: dict[str, tuple[str, dict[str, Any]]] = {
    "efficientnet_lite0 at 224": ("efficientnet_lite0", {}),
    "efficientnet_lite0 at 160": ("efficientnet_lite0", {"resolution": 160}),
    "efficientnet_lite0 at 128": ("efficientnet_lite0", {"resolution": 128}),
    "alexnet at 224": ("alexnet_finetuned", {}),
}
"""Architectures by name, with their arguments."""
_TRAINED, _TESTED = 50, 1000  # images of a class, and of all
_BATCH = 50
_SECONDS = 5.0


def fitted(
    architecture: str, arguments: dict[str, Any], train: Split, data_dir: Path | None
) -> ImageClassifier:
    """The network with its published weights and a dense layer that is solved on `train`."""
    dataset = find_dataset(DATASET)
    recipe = recipe_for(architecture, DATASET).replace(architecture_arguments=arguments)
    classifier = build_classifier(recipe, dataset)
    load_pretrained(classifier, recipe.pretrained or "", path=None, data_dir=data_dir)
    with progress_on_stderr() as progress:
        features = compute_features(classifier, {"train": train}, progress=progress).splits["train"]
    solution = solve(np.asarray(features.images), np.asarray(train.labels), len(dataset.labels))
    dense = [layer for layer in classifier.head.modules() if isinstance(layer, nn.Linear)][-1]
    with torch.no_grad():
        dense.weight.copy_(torch.from_numpy(solution.weight))
        dense.bias.copy_(torch.from_numpy(solution.bias))
    return classifier.eval()


def right(session: Any, test: Split) -> NDArray[np.bool_]:
    """Which images `[n]` a file classifies correctly."""
    found: list[NDArray[np.int64]] = []
    for part in onnx_runtime.batches(np.asarray(test.images), _BATCH):
        (logits,) = session.run([OUTPUT_NAMES[0]], {INPUT_NAME: part})
        found.append(logits.argmax(axis=1))
    return np.asarray(np.concatenate(found) == test.labels)


def measured(
    name: str, train: Split, test: Split, data_dir: Path | None, seconds: float
) -> BackboneMeasurement:
    """Export, score and time a network in both precisions."""
    classifier = fitted(*BACKBONES[name], train, data_dir)
    content = to_onnx(classifier, find_dataset(DATASET).input.shape)
    files = {"fp32": content, "int8": to_precision(content, "int8", train, full_range=has_vnni())}
    options = onnx_runtime.session_options()
    sessions = {precision: onnx_runtime.make_session(file, options) for precision, file in files.items()}
    scores = {precision: right(session, test) for precision, session in sessions.items()}
    feed = {INPUT_NAME: np.asarray(test.images[:1])}
    runners = {
        precision: partial(session.run, list(OUTPUT_NAMES), feed) for precision, session in sessions.items()
    }
    with progress_on_stderr() as progress:
        timed = single_stream(runners, batch_size=1, seconds=seconds, progress=progress)
    return BackboneMeasurement(
        name=name,
        images=len(test),
        fp32_accuracy=float(scores["fp32"].mean()),
        int8_accuracy=float(scores["int8"].mean()),
        only_fp32_right=int((scores["fp32"] & ~scores["int8"]).sum()),
        only_int8_right=int((scores["int8"] & ~scores["fp32"]).sum()),
        fp32_milliseconds=round(timed["fp32"].milliseconds[50] or 0.0, 3),
        int8_milliseconds=round(timed["int8"].milliseconds[50] or 0.0, 3),
        fp32_mib=round(len(files["fp32"]) / 2**20, 2),
        int8_mib=round(len(files["int8"]) / 2**20, 2),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", choices=list(BACKBONES), default=list(BACKBONES), metavar="NAME")
    parser.add_argument("--images", type=int, default=_TESTED, help="test images")
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="how long each file is timed")
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("VISION_ZOO_DATA"))
    parser.add_argument("--results-dir", type=Path, default=ROOT / "results")
    chosen = parser.parse_args()
    data_dir = None if chosen.data_dir is None else Path(chosen.data_dir)
    keep_freed_memory()
    limit_threads()
    path = result_path(chosen.results_dir, describe(), "own_folder_backbones")
    kept = json_file.read_if_present(path, BackbonesResult)
    rows = [] if kept is None else kept.rows
    splits = find_dataset(DATASET).load(data_dir)
    labels = np.asarray(splits.train.labels)
    first = [np.flatnonzero(labels == label)[:_TRAINED] for label in np.unique(labels)]
    train, test = splits.train.take(np.sort(np.concatenate(first))), splits.test.spread(chosen.images)
    for name in chosen.only:
        rows = with_row(rows, measured(name, train, test, data_dir, chosen.seconds), BACKBONES)
        result = BackbonesResult(environment=describe(), vnni=has_vnni(), rows=rows)
        write_result(path, result)
        print(next(row for row in rows if row.name == name), file=sys.stderr, flush=True)
    print(path)


if __name__ == "__main__":
    main()
