"""Where the runs of a comparison are, and training one of them for a time."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_zoo.core.choices import DeviceName
from vision_zoo.core.progress import Progress
from vision_zoo.core.results import EpochRecord
from vision_zoo.core.tables import counted
from vision_zoo.experiments.compare.budget import BudgetProgress
from vision_zoo.experiments.compare.candidates import Candidate, is_solved
from vision_zoo.experiments.compare.journal import Journal
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training import train
from vision_zoo.training.loop import Watch
from vision_zoo.training.run_directory import RunDirectory

ALWAYS_TRIED = 1.0  # seconds: an epoch that is shorter is trained whatever the share


@dataclass(frozen=True)
class Place:
    """Where runs go, on which device they are trained, and where the data is."""

    folder: Path
    device: DeviceName
    data_dir: Path | None

    def run(self, recipe: Recipe) -> Path:
        return train.default_path(recipe, self.folder / "runs")

    def train(
        self,
        recipe: Recipe,
        progress: Progress,
        watch: Watch = lambda _record: True,
        *,
        further: bool = False,
        teacher: Path | None = None,
    ) -> None:
        """Train a run, or go on with it, until `watch` returns False; with `further` one that was ended, too."""
        options: dict[str, Any] = {"device": self.device, "data_dir": self.data_dir, "progress": progress}
        train.start_or_resume(
            recipe, self.run(recipe), watch=watch, further=further, teacher=teacher, **options
        )


def train_for(
    candidate: Candidate,
    seconds: float,
    key: str,
    place: Place,
    journal: Journal,
    progress: BudgetProgress,
    *,
    further: bool = False,
) -> tuple[int, float] | None:
    """Epochs and validation accuracy reached; None if not even one epoch fits."""
    kept = journal.done(key)
    if kept is not None:
        return int(kept[0]), float(kept[1])
    run = RunDirectory(place.run(candidate.recipe))
    first = not run.history_file.is_file()
    if first and candidate.start_seconds + candidate.epoch_seconds > max(2 * seconds, ALWAYS_TRIED):
        return None
    end = journal.spent + seconds

    def watch(_record: EpochRecord) -> bool:
        return journal.spent + candidate.epoch_seconds / 2 < end

    inside = progress.part(candidate.architecture)
    place.train(candidate.recipe, inside, watch, further=further, teacher=candidate.teacher)
    reached = _reached(run)
    progress.line(f"{candidate.architecture}: {_said(candidate, *reached)}")
    journal.keep(key, reached)
    return reached


def _said(candidate: Candidate, epochs: int, accuracy: float) -> str:
    if is_solved(candidate.recipe):
        scored = f", {accuracy:.2%} accuracy in cross-validation" if candidate.is_validated else ""
        return f"a dense layer is fitted to its features{scored}"
    scored = f"{accuracy:.2%} validation accuracy after " if candidate.is_validated else ""
    return f"{scored}{counted(epochs, 'epoch')}"


def _reached(run: RunDirectory) -> tuple[int, float]:
    history = run.history()
    _, accuracy = min(
        (record.validation_loss or 0.0, record.validation_accuracy or 0.0) for record in history
    )
    return history[-1].epoch, accuracy


def too_long(candidate: Candidate, seconds: float) -> str:
    needed = candidate.start_seconds + candidate.epoch_seconds
    return (
        f"the first epoch takes about {needed:.0f} s, more than its part of the budget, {seconds:.0f} s; "
        "use a larger --budget"
    )


def stopped_early(run: RunDirectory) -> bool:
    """Whether early stopping ended the finished `run`."""
    patience, metrics = run.recipe().stopping.patience, run.metrics()
    return patience is not None and metrics.epochs - metrics.best_epoch >= patience
