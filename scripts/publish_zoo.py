"""Export the best recipe of each architecture and dataset to `exported/`, and measure every file.

Of several recipes the one with the highest mean accuracy in `results/` is exported, always its run with seed 0, so
that no seed is picked by its test score. Large weights are stored in fewer bits; the accuracy that is kept in
`results/<environment>/zoo.json` is the file's own, in ONNX Runtime.

    python scripts/publish_zoo.py --runs-dir runs
"""

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

from vision_zoo import manifest
from vision_zoo.artifact import SUFFIX
from vision_zoo.benchmark import BenchmarkSettings, benchmark
from vision_zoo.environment import describe
from vision_zoo.errors import VisionZooError
from vision_zoo.progress import progress_on_stderr
from vision_zoo.results import SCHEMA_VERSION, load_results, result_path, write_result
from vision_zoo.serving.session import Session
from vision_zoo.training.export import ExportedModel, export_onnx
from vision_zoo.training.recipes import find_recipe
from vision_zoo.training.train import default_path
from vision_zoo.training.weight_storage import WeightFormat

ROOT = Path(__file__).resolve().parent.parent
_HALF_ABOVE = 500_000  # parameters; a smaller model's file is small in single precision
_EIGHT_BITS_ABOVE = 2_000_000


def best_recipes(results_dir: Path, left_out: frozenset[str]) -> list[str]:
    """The recipe of the highest mean test accuracy for each architecture and dataset."""
    best: dict[tuple[str, str], tuple[float, str]] = {}
    for document in load_results(results_dir, "recipe"):
        if document["runs"] and document["recipe"] not in left_out:
            mean = statistics.fmean(run["test_accuracy"] for run in document["runs"])
            key = (document["architecture"], document["data"]["dataset"])
            best[key] = max(best.get(key, (0.0, "")), (mean, document["recipe"]))
    return sorted(recipe for _, recipe in best.values())


def weights_for(parameters: int) -> WeightFormat:
    """How a model of that many parameters stores its weights."""
    if parameters > _EIGHT_BITS_ABOVE:
        return "int8"
    return "fp16" if parameters > _HALF_ABOVE else "fp32"


def publish(recipe: str, runs_dir: Path, models_dir: Path, data_dir: Path | None) -> ExportedModel | None:
    """Export a recipe's run with seed 0 and say so; None where it is not finished."""
    run = default_path(find_recipe(recipe), runs_dir)
    if not (run / "metrics.json").is_file():
        print(f"{recipe}: no finished run in {run}", file=sys.stderr)
        return None
    exported = export_onnx(
        run, models_dir, data_dir=data_dir, weights=weights_for(find_recipe(recipe).parameters or 0)
    )
    print(f"{exported.path}: {exported.proof.accuracy:.2%}", file=sys.stderr)
    return exported


def entry(exported: ExportedModel) -> dict[str, Any]:
    """What `zoo.json` keeps of a file."""
    session = Session(exported.path, provider="cpu")
    metadata, proof = session.metadata, exported.proof
    return {
        "model": session.name,
        "recipe": metadata.recipe,
        "architecture": metadata.architecture,
        "dataset": metadata.dataset,
        "data_variant": metadata.data_variant,
        "parameters": metadata.parameters,
        "macs": metadata.macs,
        "weights": metadata.weights,
        "bytes": session.size,
        "test_accuracy": proof.accuracy,
        "test_images": proof.images,
        "checkpoint_accuracy": proof.checkpoint_accuracy,
        "argmax_agreement": proof.argmax_agreement,
        "max_logit_difference": proof.max_logit_difference,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--models-dir", type=Path, default=ROOT / "exported")
    parser.add_argument("--results-dir", type=Path, default=ROOT / "results")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--leave-out", nargs="*", default=[], help="recipes that are not to be shipped")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    options = parser.parse_args()
    try:
        chosen = best_recipes(options.results_dir, frozenset(options.leave_out))
        published = [
            publish(recipe, options.runs_dir, options.models_dir, options.data_dir) for recipe in chosen
        ]
        models = [exported for exported in published if exported is not None]
        shipped = {exported.path for exported in models}
        for path in sorted(options.models_dir.glob(f"*{SUFFIX}")):
            if path not in shipped:
                manifest.withdraw(path)
        settings = BenchmarkSettings(provider="cpu", against=("torch",), seconds=options.seconds)
        with progress_on_stderr() as progress:
            rows = benchmark([exported.path for exported in models], settings, progress)
        document = {
            "schema": SCHEMA_VERSION,
            "kind": "zoo",
            "environment": describe(),
            "models": [entry(exported) for exported in models],
            "benchmark": rows,
        }
        write_result(result_path(options.results_dir, describe(), "zoo"), document)
    except VisionZooError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
