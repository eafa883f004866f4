"""Compare architectures on a dataset within a time budget, and recommend one.

settings → candidates → heads on frozen features → the others: reserve, search (successive halving, other seeds) →
measure → who was left out, while time is left → recommend → page
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vision_zoo.architectures import find_architecture
from vision_zoo.core.errors import DataError, ExportError, Interrupted, RunError
from vision_zoo.core.json_file import read_if_present
from vision_zoo.core.progress import Progress
from vision_zoo.core.results import write_result
from vision_zoo.data.dataset import report_skipped
from vision_zoo.experiments.compare.budget import BudgetProgress
from vision_zoo.experiments.compare.candidates import Candidate, measure_candidate
from vision_zoo.experiments.compare.document import ComparedData, ComparisonResult
from vision_zoo.experiments.compare.images import ComparedImages
from vision_zoo.experiments.compare.journal import Journal
from vision_zoo.experiments.compare.measure import MeasuredModel, measured
from vision_zoo.experiments.compare.page import page
from vision_zoo.experiments.compare.recommend import (
    against_the_best,
    commonest_share,
    on_the_front,
    recommend,
)
from vision_zoo.experiments.compare.reserve import affordable, measuring_seconds
from vision_zoo.experiments.compare.search import (
    Place,
    Standing,
    frozen_first,
    other_seeds,
    successive_halving,
    with_what_is_left,
)
from vision_zoo.experiments.compare.settings import ComparisonSettings, Limits, default_folder, settings_of
from vision_zoo.exporting.export import load_exporter
from vision_zoo.training.device import choose_device, describe_environment, limit_threads
from vision_zoo.training.run_data import require_runs_on

if TYPE_CHECKING:
    import torch

PAGE = "comparison.html"
_DOCUMENT, _ENDED = "comparison.json", "ended"
_MEASURED = 0.6  # of the budget, after which no further candidate is measured
_HEADS = 0.5  # of the budget, the most for heads on frozen features


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
    images = ComparedImages(settings.dataset, data_dir)
    dataset, splits = images.at(settings.image_size)
    report_skipped(splits, progress)
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
    place = Place(out, settings.device, data_dir)
    bar = BudgetProgress(progress, lambda: journal.spent, settings.budget_seconds)
    work = _Work(settings, images, place, journal, bar, {}, {}, [], {})
    try:
        finalists = _compare(work, device, clock)
    except KeyboardInterrupt as error:
        raise Interrupted("interrupted; run the same command again to continue") from error
    models, left_out, refused = work.models, {**work.left_out, **work.no_time}, work.refused
    if not models:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in {**left_out, **refused}.items())
        raise DataError(f"no architecture could be compared on {settings.dataset} ({reasons})")
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
        ),
    )
    write_result(out / _DOCUMENT, document)
    page(out / PAGE, document)
    journal.keep(_ENDED, splits.sha256)
    return document


@dataclass(eq=False)
class _Work:
    """A comparison under way: where it happens, and what came of it so far."""

    settings: ComparisonSettings
    images: ComparedImages
    place: Place
    journal: Journal
    progress: BudgetProgress
    left_out: dict[str, str]
    no_time: dict[str, str]
    models: list[MeasuredModel]
    refused: dict[str, str]

    def measure(self, standings: Sequence[Standing]) -> None:
        for standing in standings:
            _, splits = self.images.of(standing.candidate.recipe)
            for precision in self.settings.precisions:
                try:
                    model = measured(
                        standing, precision, self.settings, self.place, splits.test, self.progress
                    )
                except ExportError as error:
                    self.refused[f"{standing.candidate.architecture}, {precision}"] = str(error)
                else:
                    self.models.append(model)


def _compare(work: _Work, device: "torch.device", clock: Callable[[], float]) -> set[str]:
    """Train and measure within the budget; returns the architectures that were trained with all seeds."""
    settings, place, journal, bar = work.settings, work.place, work.journal, work.progress
    budget = settings.budget_seconds
    frozen = [
        name for name in settings.architectures if find_architecture(name).recipe_defaults.get("frozen")
    ]
    others = [name for name in settings.architectures if name not in frozen]

    def find(architectures: Sequence[str]) -> list[Candidate]:
        found: list[Candidate] = []
        for name in architectures:
            if journal.spent > _MEASURED * budget and (found or work.models):
                work.no_time[name] = (
                    f"the budget of {budget:.0f} s had no time left to measure it; use a larger --budget"
                )
                continue
            bar.describe(f"measuring {name}")
            measured_one = measure_candidate(
                name, settings, work.images, device=device, data_dir=place.data_dir, clock=clock
            )
            if isinstance(measured_one, str):
                work.left_out[name] = measured_one
            else:
                found.append(measured_one)
        return found

    bar.describe("loading the exporter")
    load_exporter()  # or the first architecture would look dearer than it is
    until = _HEADS * budget
    heads, no_time = frozen_first(find(frozen), place, journal, seconds=until, progress=bar)
    work.no_time |= no_time
    other_seeds(heads, settings.seeds, place, journal, seconds=until, progress=bar)
    work.measure(heads)
    for model in work.models:
        figures = model.figures
        bar.line(
            f"{figures.path}: {figures.test_accuracy:.2%} test accuracy, {figures.p50_ms:.3g} ms an image"
        )
    found = find(others)
    chosen, too_expensive = affordable(found, settings, journal)
    work.no_time |= too_expensive
    seconds = max(journal.spent, budget - sum(measuring_seconds(one, settings) for one in chosen))
    outcome = successive_halving(chosen, place, journal, seconds=seconds, seeds=settings.seeds, progress=bar)
    work.no_time |= outcome.left_out
    for standings in (outcome.finalists, outcome.rest_of_the_front, outcome.others):
        other_seeds(standings, settings.seeds, place, journal, seconds=seconds, progress=bar)
    work.measure(outcome.standings)
    for candidate in sorted(found, key=lambda one: one.epoch_seconds):
        if candidate.architecture in work.no_time:
            until = budget - measuring_seconds(candidate, settings)
            standing = with_what_is_left(candidate, place, journal, seconds=until, progress=bar)
            if standing is not None:
                del work.no_time[candidate.architecture]
                work.measure([standing])
    return {standing.candidate.architecture for standing in (*heads, *outcome.finalists)}


__all__ = ["PAGE", "ComparisonSettings", "Limits", "compare", "default_folder", "settings_of"]
