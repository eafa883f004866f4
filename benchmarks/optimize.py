"""What `vision-zoo optimize` gains for every shipped file: `results/<environment>/optimize.json`.

A file that was measured before in the same environment, with the same settings, is left as it is unless it is named. The
optimized files themselves are not kept.

    python -m benchmarks.optimize [MODEL...] [--batch-sizes 1] [--seconds 1]    # on a machine without other work
"""

import argparse
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from vision_zoo.core.environment import describe
from vision_zoo.core.errors import VisionZooError
from vision_zoo.core.json_file import read_if_present
from vision_zoo.core.model_results import OptimizedModel, OptimizeResult, TriedGraph
from vision_zoo.core.progress import progress_on_stderr
from vision_zoo.core.results import result_path, write_result
from vision_zoo.data.cache import file_hash
from vision_zoo.exporting.optimize import Candidate, optimize_file
from vision_zoo.exporting.session_search import SearchSettings

ROOT = Path(__file__).resolve().parent.parent


def optimized(path: Path, settings: SearchSettings, data_dir: Path | None) -> OptimizedModel:
    """Optimize a copy of the file at `path`."""
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder, progress_on_stderr() as progress:
        found = optimize_file(path, settings, data_dir=data_dir, output_dir=Path(folder), progress=progress)
        for note in found.notes:
            progress.line(f"{path.stem}: {note}")
    others: dict[str, Candidate] = {}
    for one in found.shown:  # the fastest of a graph comes first
        if one.graph not in (found.original.graph, found.chosen.graph):
            others.setdefault(one.graph, one)
    return OptimizedModel(
        model=path.stem,
        sha256=file_hash(path),
        images=found.images,
        original=_tried(found.original),
        chosen=_tried(found.chosen),
        others=[_tried(one) for one in others.values()],
        cpu_seconds=round(time.process_time() - started, 1),
    )


def _tried(one: Candidate) -> TriedGraph:
    times = one.milliseconds
    return TriedGraph(
        graph=one.graph,
        options=None if one.options is None else one.options.description,
        accuracy=one.accuracy,
        argmax_agreement=one.argmax_agreement,
        milliseconds=None if times is None else {str(size): value for size, value in times.items()},
        speedup=one.speedup,
        reason=one.reason,
    )


def started(kept: OptimizeResult | None, settings: SearchSettings) -> OptimizeResult:
    """`kept` if it was measured here with these settings, else an empty document."""
    empty = OptimizeResult(
        environment=describe(),
        batch_sizes=list(settings.batch_sizes),
        seconds=settings.seconds,
    )
    return empty if kept is None or replace(kept, models=()) != empty else kept


def is_kept(document: OptimizeResult, path: Path) -> bool:
    """Whether the file at `path` has been measured."""
    return (path.stem, file_hash(path)) in {(one.model, one.sha256) for one in document.models}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help="names of shipped models; default: all")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1])
    parser.add_argument("--seconds", type=float, default=1.0, help="of each candidate, batch size and round")
    parser.add_argument("--results-dir", type=Path, default=ROOT / "results")
    chosen = parser.parse_args()
    data_dir = os.environ.get("VISION_ZOO_DATA")
    settings = SearchSettings(batch_sizes=tuple(chosen.batch_sizes), seconds=chosen.seconds)
    target = result_path(chosen.results_dir, describe(), "optimize")
    document = started(read_if_present(target, OptimizeResult), settings)
    for path in sorted((ROOT / "exported").glob("*.onnx"), key=lambda path: path.stem):
        if path.stem not in chosen.models if chosen.models else is_kept(document, path):
            continue
        try:
            one = optimized(path, settings, Path(data_dir) if data_dir else None)
        except VisionZooError as error:
            print(f"{path.stem}: {error}", file=sys.stderr)
            continue
        others = [row for row in document.models if row.model != one.model]
        document = replace(document, models=sorted([*others, one], key=lambda row: row.model))
        write_result(target, document)
        print(f"{path.stem}: {one.chosen.graph}, {one.chosen.speedup} times as fast", file=sys.stderr)


if __name__ == "__main__":
    main()
