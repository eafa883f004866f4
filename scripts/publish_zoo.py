"""Export the best recipe of each architecture and dataset to `exported/`, and measure every file.

Of several recipes the one with the highest mean accuracy in `results/` is exported, always its run with seed 0, so
that no seed is picked by its test score. A model that 8 bits make at least 1.4 times faster, without losing more than the
verification allows, computes in them; other large models store their weights in fewer bits. The accuracy that is kept in
`results/<environment>/zoo.json` is the file's own, in ONNX Runtime. A file that is there stays where no run of a better
recipe is at hand. All of them are calibrated that are not, their weights stored in fewer bits where no prediction
changes, and timed anew together.

    python scripts/publish_zoo.py --runs-dir runs
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vision_zoo.artifact import manifest
from vision_zoo.artifact.familiarity import FALSE_ALARMS
from vision_zoo.artifact.metadata import SUFFIX
from vision_zoo.benchmark import BenchmarkSettings, benchmark
from vision_zoo.benchmark.engines import random_images
from vision_zoo.core.choices import Precision
from vision_zoo.core.environment import describe
from vision_zoo.core.errors import ExportError, VisionZooError
from vision_zoo.core.json_file import read_if_present
from vision_zoo.core.progress import Progress, progress_on_stderr
from vision_zoo.core.results import RecipeResult, ZooModel, ZooResult, load_results, result_path, write_result
from vision_zoo.core.scenarios import single_stream
from vision_zoo.data import find_dataset
from vision_zoo.exporting.calibrate import calibrate_file, described_file, read_file
from vision_zoo.exporting.export import ExportedModel, export_onnx
from vision_zoo.exporting.quantize import store_weights
from vision_zoo.recipes import find_recipe
from vision_zoo.serving.session import Session
from vision_zoo.training.train import default_path

ROOT = Path(__file__).resolve().parent.parent
_HALF_ABOVE = 100_000  # parameters; a smaller model's file is small in single precision
_EIGHT_BITS_ABOVE = 200_000
_EIGHT_BITS_TRIED_ABOVE = 2**20  # bytes in single precision
_FALSE_ALARMS = {"mnist": 0.01}
"""Of unfamiliar images, by dataset, where not the usual share: digits are drawn on the page as no image of MNIST is."""
_WORTH_EIGHT_BITS = 1.4  # times faster; a smaller gain is not worth the accuracy


@dataclass(frozen=True)
class Published:
    """A shipped file, and how much faster 8 bits are than single precision, where that was measured."""

    exported: ExportedModel
    int8_speedup: float | None


def best_recipes(results_dir: Path, left_out: frozenset[str]) -> list[str]:
    """The recipe of the highest mean test accuracy for each architecture and dataset."""
    best: dict[tuple[str, str | None], tuple[float, str]] = {}
    for document in load_results(results_dir, RecipeResult):
        if document.runs and document.recipe not in left_out:
            mean = statistics.fmean(run.test_accuracy for run in document.runs)
            key = (document.architecture, document.data.dataset)
            best[key] = max(best.get(key, (0.0, "")), (mean, document.recipe))
    return sorted(recipe for _, recipe in best.values())


def weights_for(parameters: int) -> Precision:
    """How a model of that many parameters stores its weights."""
    if parameters > _EIGHT_BITS_ABOVE:
        return "int8"
    return "fp16" if parameters > _HALF_ABOVE else "fp32"


def publish(recipe: str, options: argparse.Namespace, progress: Progress) -> Published | None:
    """Export a recipe's run with seed 0 and say so; None if it is not finished or no file passes verification."""
    run = default_path(find_recipe(recipe), options.runs_dir)
    if not (run / "metrics.json").is_file():
        print(f"{recipe}: no finished run in {run}", file=sys.stderr)
        return None
    with tempfile.TemporaryDirectory() as scratch:
        try:
            exported, speedup = smallest(run, recipe, Path(scratch), options, progress)
        except ExportError as error:
            print(f"{recipe}: {error}", file=sys.stderr)
            return None
        path = options.models_dir / exported.path.name
        manifest.publish(path, exported.path.read_bytes())
    print(f"{path}: {exported.verification.accuracy:.2%}, int8 {speedup or '–'}x", file=sys.stderr)
    return Published(replace(exported, path=path), speedup)


def smallest(
    run: Path, recipe: str, scratch: Path, options: argparse.Namespace, progress: Progress
) -> tuple[ExportedModel, float | None]:
    """The file to ship, in a folder below `scratch`, and how much faster 8 bits are where that was measured."""
    single = export_onnx(run, scratch / "fp32", data_dir=options.data_dir)
    speedup = None
    if recipe not in options.not_in_8_bits and single.path.stat().st_size > _EIGHT_BITS_TRIED_ABOVE:
        eight = in_eight_bits(run, scratch / "int8", options)
        if eight is not None:
            speedup = measured_speedup(eight, single, options, progress)
            if speedup >= _WORTH_EIGHT_BITS:
                return eight, speedup
    weights = weights_for(find_recipe(recipe).parameters or 0)
    if weights == "fp32":
        return single, speedup
    return export_onnx(run, scratch / "weights", data_dir=options.data_dir, weights=weights), speedup


def in_eight_bits(run: Path, folder: Path, options: argparse.Namespace) -> ExportedModel | None:
    """The run as a file that computes in 8 bits; None if it does not pass verification."""
    try:
        return export_onnx(run, folder, data_dir=options.data_dir, precision="int8")
    except ExportError as error:
        print(f"{run.name}: {error}", file=sys.stderr)
        return None


def measured_speedup(
    eight: ExportedModel, single: ExportedModel, options: argparse.Namespace, progress: Progress
) -> float:
    """p50 of one image in single precision over that in 8 bits, in turns."""
    runners = {}
    for exported in (eight, single):
        session = Session(exported.path, provider="cpu")
        images = random_images(session, 1)
        runners[exported.path.stem] = lambda session=session, images=images: session.predict(images)
    measured = single_stream(runners, batch_size=1, seconds=options.seconds, progress=progress)
    fewer, full = (latency.milliseconds[50] or 0.0 for latency in measured.values())
    return round(full / fewer, 2)


def left_in_place(models_dir: Path, former: Sequence[ZooModel], new: Sequence[ZooModel]) -> list[ZooModel]:
    """The entries of `former` whose files stay; those that a file of `new` takes the place of are withdrawn."""
    written = {one.model for one in new}
    superseded = {(one.architecture, one.dataset) for one in new}
    staying = {one.model: one for one in former if (one.architecture, one.dataset) not in superseded}
    found = []
    for path in sorted(models_dir.glob(f"*{SUFFIX}")):
        if path.stem in staying:
            found.append(staying[path.stem])
        elif path.stem not in written:
            manifest.withdraw(path)
    return found


def calibrate(path: Path, data_dir: Path | None) -> None:
    """Calibrate the file at `path`, if neither its export nor an earlier call did as it is to be."""
    session = Session(path, provider="cpu")
    false_alarms = _FALSE_ALARMS.get(session.metadata.dataset, FALSE_ALARMS)
    if session.gaussians is None or session.gaussians.false_alarms != false_alarms:
        done = calibrate_file(path, data_dir=data_dir, false_alarms=false_alarms).calibration
        print(f"{path}: temperature {done.temperature:.3f}, on {done.calibrated_on}", file=sys.stderr)


def narrowed(one: ZooModel, path: Path, data_dir: Path | None) -> ZooModel:
    """`one` with the file's size, and with its weights as `weights_for` says where they are wider.

    The file is replaced if it classifies every test image as before.
    """
    weights = weights_for(one.parameters)
    if (one.weights, weights) == ("fp32", "fp16"):
        content, metadata, gaussians = read_file(path)
        with tempfile.TemporaryDirectory() as scratch:
            narrow = Path(scratch) / path.name
            described = replace(metadata, weights=weights)
            narrow.write_bytes(described_file(store_weights(content, weights), described, gaussians))
            images = np.asarray(find_dataset(one.dataset).load(data_dir).test.images)
            before, after = (Session(file, provider="cpu").predict_all(images) for file in (path, narrow))
            if (before.classes == after.classes).all():
                manifest.publish(path, narrow.read_bytes())
                difference = one.max_logit_difference + float(np.abs(before.logits - after.logits).max())
                one = replace(one, weights=weights, max_logit_difference=difference)
    return replace(one, bytes=path.stat().st_size)


def entry(published: Published) -> ZooModel:
    """What `zoo.json` keeps of a file."""
    session = Session(published.exported.path, provider="cpu")
    metadata, verification = session.metadata, published.exported.verification
    return ZooModel(
        model=session.name,
        recipe=metadata.recipe,
        architecture=metadata.architecture,
        dataset=metadata.dataset,
        data_variant=metadata.data_variant,
        parameters=metadata.parameters,
        macs=metadata.macs,
        precision=metadata.precision,
        weights=metadata.weights,
        int8_speedup=published.int8_speedup,
        bytes=session.size,
        test_accuracy=verification.accuracy,
        test_images=verification.images,
        checkpoint_accuracy=verification.checkpoint_accuracy,
        argmax_agreement=verification.argmax_agreement,
        max_logit_difference=verification.max_logit_difference,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--models-dir", type=Path, default=ROOT / "exported")
    parser.add_argument("--results-dir", type=Path, default=ROOT / "results")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--leave-out", nargs="*", default=[], help="recipes that are not to be shipped")
    parser.add_argument(
        "--not-in-8-bits", nargs="*", default=[], help="recipes whose last tenth of a point counts"
    )
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    options = parser.parse_args()
    try:
        chosen = best_recipes(options.results_dir, frozenset(options.leave_out))
        with progress_on_stderr() as progress:
            published = [
                found for recipe in chosen if (found := publish(recipe, options, progress)) is not None
            ]
            place = result_path(options.results_dir, describe(), "zoo")
            zoo = read_if_present(place, ZooResult)
            former = [] if zoo is None else zoo.models
            new = [entry(one) for one in published]
            models = sorted(
                [*new, *left_in_place(options.models_dir, former, new)],
                key=lambda one: one.model,
            )
            shipped = [options.models_dir / f"{one.model}{SUFFIX}" for one in models]
            for path in shipped:
                calibrate(path, options.data_dir)
            models = [
                narrowed(one, path, options.data_dir) for one, path in zip(models, shipped, strict=True)
            ]
            settings = BenchmarkSettings(providers=("cpu",), against=("torch",), seconds=options.seconds)
            rows = list(benchmark(shipped, settings, progress))
        write_result(
            place,
            ZooResult(environment=describe(), models=models, benchmark=rows),
        )
    except VisionZooError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
