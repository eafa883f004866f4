"""Measure what a user gets from a folder of a few pictures a class: `results/<environment>/own_folder.json`.

    python -m benchmarks.own_folder [--only PART…] [--again]

A part is a folder and a budget: 300 photos of Imagenette in 2 and in 8 minutes, drawn three times and the first of them
compared twice, and the first 30 and 100 images a class of CIFAR-10 in 8. What is recommended is scored on 1,000 pictures
that are not in the folder. Imagenette is a part of ImageNet, so that ImageNet's weights flatter there. Each comparison is
kept as it ends; a second call does those that are missing, or with `--again` all of its parts. Nothing else may run
beside it.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks.own_folder.comparison import CommandError, compared
from benchmarks.own_folder.folders import Folders, first, imagenette, made_once
from vision_zoo.core.environment import describe
from vision_zoo.core.json_file import read_if_present
from vision_zoo.core.own_folder_result import FolderComparison, OwnFolderResult
from vision_zoo.core.results import result_path, write_result

ROOT = Path(__file__).resolve().parents[2]
_FIRST_TWICE = ((0, 0), (0, 1), (1, 0), (2, 0))


@dataclass(frozen=True)
class Part:
    """A budget, what makes the folder of a draw in a data folder, and the runs: (draw, repeat)."""

    budget: str
    folder: str
    make: Callable[..., None]
    runs: Sequence[tuple[int, int]] = ((0, 0),)


def _photos(draw: int, folders: Folders, data_dir: Path) -> None:
    imagenette(folders, data_dir, images=30, seed=draw)


def _first(images: int, _draw: int, folders: Folders, data_dir: Path) -> None:
    first(folders, data_dir, images=images)


PARTS = {
    "imagenette-2m": Part("2m", "imagenette", _photos, _FIRST_TWICE),
    "imagenette-8m": Part("8m", "imagenette", _photos, _FIRST_TWICE),
    "cifar10-30": Part("8m", "cifar10-30", partial(_first, 30)),
    "cifar10-100": Part("8m", "cifar10-100", partial(_first, 100)),
}


def missing(
    kept: Sequence[FolderComparison], runs: Sequence[tuple[int, int]], *, again: bool
) -> list[tuple[int, int]]:
    """Those of `runs` that have to be done."""
    done = set() if again else {(run.draw, run.repeat) for run in kept}
    return [run for run in runs if run not in done]


def with_run(document: OwnFolderResult, part: str, run: FolderComparison) -> OwnFolderResult:
    """The document with `run` in the place of an earlier one of the same draw and repeat."""
    others = [
        one for one in document.comparisons.get(part, ()) if (one.draw, one.repeat) != (run.draw, run.repeat)
    ]
    runs = sorted([*others, run], key=lambda one: (one.draw, one.repeat))
    return replace(document, comparisons={**document.comparisons, part: runs})


def described(part: str, runs: Sequence[FolderComparison]) -> str:
    """A line on all runs of a part."""
    new = [run.new_accuracy or 0.0 for run in runs]
    first = [run.first_answer_seconds for run in runs if run.first_answer_seconds is not None]
    agree = all(one.agrees_with(other) for one in runs for other in runs if one.draw == other.draw)
    accuracies, fraction = (
        ", ".join(f"{accuracy:.1%}" for accuracy in new),
        max(run.budget_fraction for run in runs),
    )
    return (
        f"{part}: {accuracies} of new pictures, {max(run.seconds for run in runs):.0f} s ({fraction:.0%} of the budget), "
        f"first answer after {max(first, default=float('nan')):.0f} s, runs on the same folder "
        f"{'agree' if agree else 'differ'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", choices=list(PARTS), default=list(PARTS), metavar="PART")
    parser.add_argument("--again", action="store_true", help="measure again what is kept")
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("VISION_ZOO_DATA"))
    parser.add_argument("--results-dir", type=Path, default=ROOT / "results")
    parser.add_argument("--work-dir", type=Path, default=ROOT / "runs" / "own_folder")
    options = parser.parse_args()
    if options.data_dir is None:
        sys.exit("error: name the folder that has imagenette and cifar10 with --data-dir or VISION_ZOO_DATA")
    data_dir, work_dir = Path(options.data_dir).resolve(), options.work_dir.resolve()
    environment = describe()
    path = result_path(options.results_dir, environment, "own_folder")
    document = read_if_present(path, OwnFolderResult) or OwnFolderResult(environment=environment)
    for name in options.only:
        part = PARTS[name]
        for draw, repeat in missing(document.comparisons.get(name, ()), part.runs, again=options.again):
            folders = made_once(
                work_dir / "folders" / f"{part.folder}-{draw}",
                partial(part.make, draw, data_dir=data_dir),
            )
            place = work_dir / f"{name}-{draw}-{repeat}"
            try:
                run = compared(folders, place, part.budget, data_dir, draw=draw, repeat=repeat)
            except CommandError as error:
                sys.exit(f"error: comparing {name} failed: {error}")
            document = replace(with_run(document, name, run), environment=environment)
            write_result(path, document)
        print(described(name, document.comparisons[name]))
    print(path)


if __name__ == "__main__":
    main()
