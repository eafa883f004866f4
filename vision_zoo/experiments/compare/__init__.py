"""Compare architectures on a dataset within a time budget, and recommend one.

settings → heads on frozen features → candidates → reserve → search (successive halving, other seeds) → measure → who was
left out, while time is left → recommend → page. `work` has the order of what takes time.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vision_zoo.core.errors import SAME_COMMAND, DataError, Interrupted, RunError
from vision_zoo.core.json_file import read_if_present
from vision_zoo.core.progress import Progress
from vision_zoo.core.results import write_result
from vision_zoo.data.dataset import report_skipped
from vision_zoo.data.own_folder import require_outside
from vision_zoo.experiments.compare.budget import BudgetProgress
from vision_zoo.experiments.compare.document import ComparedData, ComparisonResult
from vision_zoo.experiments.compare.images import ComparedImages
from vision_zoo.experiments.compare.journal import Journal
from vision_zoo.experiments.compare.page import page
from vision_zoo.experiments.compare.place import Place
from vision_zoo.experiments.compare.recommend import (
    against_the_best,
    commonest_share,
    on_the_front,
    rare_classes,
    recommend,
)
from vision_zoo.experiments.compare.settings import (
    STUDENT,
    ComparisonSettings,
    Limits,
    default_folder,
    settings_of,
)
from vision_zoo.experiments.compare.work import Work
from vision_zoo.training.device import choose_device, describe_environment, limit_threads
from vision_zoo.training.run_data import require_runs_on
from vision_zoo.training.run_directory import locked, refuse_run
from vision_zoo.training.speedups import keep_freed_memory

if TYPE_CHECKING:
    import torch

PAGE = "comparison.html"
_DOCUMENT, _ENDED = "comparison.json", "ended"


def compare(
    settings: ComparisonSettings,
    *,
    out: Path,
    data_dir: Path | None,
    progress: Progress,
    clock: Callable[[], float] = time.perf_counter,
) -> ComparisonResult:
    """Compare the architectures; `out` gets `comparison.json`, `comparison.html`, `models/` and `runs/`.

    Call it again after an interruption: it goes on. `clock` gives the seconds that estimates and the budget go by.

    Raises:
        RunError: `out` holds another comparison or a run, or another process is at work there.
        UsageError: `out` is in the folder of images.
        VisionZooError: whatever a run meets; no architecture can be trained.
    """
    require_outside(settings.dataset, out)
    refuse_run(out)
    device = choose_device(settings.device)
    limit_threads()
    journal = Journal(out / "journal.json", settings.to_json(), clock)
    if journal.differing:
        raise RunError(
            f"{out} holds a comparison with other settings ({', '.join(journal.differing)}); choose another folder with "
            "--out"
        )
    images = ComparedImages(settings, data_dir)
    report_skipped(images.at(settings.image_size)[1], progress)
    with locked(out):
        place = Place(out, settings.device, data_dir)
        return _compared(settings, images, place, journal, progress, device, clock)


def _compared(
    settings: ComparisonSettings,
    images: ComparedImages,
    place: Place,
    journal: Journal,
    progress: Progress,
    device: "torch.device",
    clock: Callable[[], float],
) -> ComparisonResult:
    dataset, splits = images.at(settings.image_size)
    out = place.folder
    require_runs_on(out / "runs", images.of)
    ended = journal.done(_ENDED)
    if ended is not None and not splits.has_content(ended):
        raise RunError(
            f"{out} holds a comparison on {settings.dataset}, which has changed since; choose another folder with --out"
        )
    finished = read_if_present(out / _DOCUMENT, ComparisonResult) if ended is not None else None
    if finished is not None:
        progress.line(f"{out} contains this comparison, finished")
        return finished
    if journal.before:
        progress.line(
            f"going on with the comparison in {out}: {journal.before:.0f} of {settings.budget_seconds:.0f} s are spent"
        )
    bar = BudgetProgress(progress, lambda: journal.spent, settings.budget_seconds)
    keep_freed_memory()
    work = Work(settings, images, place, journal, bar, device, clock)
    try:
        finalists = work.run()
    except (Interrupted, KeyboardInterrupt) as error:
        raise Interrupted(f"interrupted; {SAME_COMMAND}") from error
    models, left_out, refused = work.models, {**work.left_out, **work.no_time}, work.refused
    if not models:
        name, reason = next(iter({**left_out, **refused}.items()))
        others = len(left_out) + len(refused) - 1
        more = f", and {others} more" if others else ""
        raise DataError(f"no architecture could be compared on {settings.dataset} ({name}: {reason}{more})")
    counts = {f"{name}_images": len(split) for name, split in splits.named().items()}
    document = ComparisonResult(
        settings=settings.to_json(),
        environment=describe_environment(device),
        data=ComparedData(
            dataset=dataset.name,
            variant=splits.variant,
            classes=len(dataset.labels),
            image_size=dataset.input.height,
            **counts,
            skipped_files=[file.name for file in splits.skipped],
        ),
        seconds=journal.spent,
        models=[replace(model.figures, finalist=model.figures.architecture in finalists) for model in models],
        pareto_front=sorted(on_the_front(models)),
        comparisons=against_the_best(models),
        left_out=left_out,
        not_exported=refused,
        recommendation=recommend(
            models,
            settings.limits,
            by_chance=commonest_share(np.asarray(splits.test.labels)),
            no_time=sorted(work.no_time),
            rare=rare_classes(np.asarray(splits.test.labels), dataset.labels),
        ),
    )
    write_result(out / _DOCUMENT, document)
    page(out / PAGE, document)
    journal.keep(_ENDED, splits.sha256)
    return document


__all__ = ["PAGE", "STUDENT", "ComparisonSettings", "Limits", "compare", "default_folder", "settings_of"]
