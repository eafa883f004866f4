"""Compare architectures on a dataset within a time budget, and recommend one.

settings → candidates → reserve → search (successive halving, other seeds) → measure → recommend → page
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from vision_zoo.core.errors import DataError, ExportError, Interrupted, RunError
from vision_zoo.core.json_file import read_if_present
from vision_zoo.core.progress import Progress
from vision_zoo.core.results import write_result
from vision_zoo.data import find_dataset
from vision_zoo.data.dataset import Splits, report_skipped
from vision_zoo.experiments.compare.budget import BudgetProgress
from vision_zoo.experiments.compare.candidates import candidates
from vision_zoo.experiments.compare.document import ComparedData, ComparisonResult
from vision_zoo.experiments.compare.measure import MeasuredModel, measured
from vision_zoo.experiments.compare.page import page
from vision_zoo.experiments.compare.recommend import (
    against_the_best,
    commonest_share,
    on_the_front,
    recommend,
)
from vision_zoo.experiments.compare.reserve import affordable, measuring_seconds
from vision_zoo.experiments.compare.search import Journal, Place, Standing, other_seeds, successive_halving
from vision_zoo.experiments.compare.settings import ComparisonSettings, Limits, default_folder, settings_of
from vision_zoo.training.device import choose_device, describe_environment, limit_threads
from vision_zoo.training.run_data import require_runs_on

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
        RunError: `out` holds another comparison.
        VisionZooError: whatever a run meets; no architecture can be trained.
    """
    device = choose_device(settings.device)
    limit_threads()
    journal = Journal(out / "journal.json", settings.to_json(), clock)
    if not journal.same:
        raise RunError(f"{out} holds a comparison with other settings; choose another folder with --out")
    dataset = find_dataset(settings.dataset, image_size=settings.image_size)
    splits = dataset.load(data_dir)
    report_skipped(splits, progress)
    require_runs_on(out / "runs", dataset, splits)
    ended = journal.done(_ENDED)
    if ended is not None and not splits.has_content(ended):
        raise RunError(
            f"{out} holds a comparison on {settings.dataset}, which has changed since; choose another folder with --out"
        )
    finished = read_if_present(out / _DOCUMENT, ComparisonResult) if ended is not None else None
    if finished is not None:
        progress.line(f"{out} contains this comparison, finished")
        return finished
    place = Place(out, settings.device, data_dir)
    bar = BudgetProgress(progress, lambda: journal.spent, settings.budget_seconds)
    try:
        found, left_out = candidates(
            settings, dataset, splits, device=device, data_dir=data_dir, progress=bar, clock=clock
        )
        found, too_expensive = affordable(found, settings, journal)
        left_out |= too_expensive
        aside = sum(measuring_seconds(one, settings) for one in found)
        seconds = max(journal.spent, settings.budget_seconds - aside)
        outcome = successive_halving(
            found, place, journal, seconds=seconds, seeds=settings.seeds, progress=bar
        )
        left_out |= outcome.left_out
        for chosen in (outcome.finalists, outcome.rest_of_the_front, outcome.others):
            other_seeds(chosen, settings.seeds, place, journal, seconds=seconds, progress=bar)
        models, refused = _models(outcome.standings, settings, place, splits, bar)
    except KeyboardInterrupt as error:
        raise Interrupted("interrupted; run the same command again to continue") from error
    if not models:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in {**left_out, **refused}.items())
        raise DataError(f"no architecture could be compared on {settings.dataset} ({reasons})")
    finalists = {standing.candidate.architecture for standing in outcome.finalists}
    images = {f"{name}_images": len(split) for name, split in splits.named().items()}
    document = ComparisonResult(
        settings=settings.to_json(),
        environment=describe_environment(device),
        data=ComparedData(
            dataset=dataset.name,
            variant=splits.variant,
            classes=len(dataset.labels),
            image_size=dataset.input.height,
            **images,
            skipped_files=[file.name for file in splits.skipped],
        ),
        seconds=journal.spent,
        models=[replace(model.figures, finalist=model.figures.architecture in finalists) for model in models],
        pareto_front=sorted(on_the_front(models)),
        comparisons=against_the_best(models),
        left_out=left_out,
        not_exported=refused,
        recommendation=recommend(
            models, settings.limits, by_chance=commonest_share(np.asarray(splits.test.labels))
        ),
    )
    write_result(out / _DOCUMENT, document)
    page(out / PAGE, document)
    journal.keep(_ENDED, splits.sha256)
    return document


def _models(
    standings: list[Standing],
    settings: ComparisonSettings,
    place: Place,
    splits: Splits,
    progress: BudgetProgress,
) -> tuple[list[MeasuredModel], dict[str, str]]:
    found, refused = [], {}
    for standing in standings:
        for precision in settings.precisions:
            try:
                found.append(measured(standing, precision, settings, place, splits.test, progress))
            except ExportError as error:
                refused[f"{standing.candidate.architecture}, {precision}"] = str(error)
    return found, refused


__all__ = ["PAGE", "ComparisonSettings", "Limits", "compare", "default_folder", "settings_of"]
