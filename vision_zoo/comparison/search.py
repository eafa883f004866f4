"""Successive halving: all architectures for a little while, the better half for longer, and so on.

Better is decided on validation images alone, and by two things: an architecture stays as long as no other is both
quicker for an image and more accurate (non-dominated sorting), so that small models are not lost to large ones. Every
rung takes the same share of the time. After Jamieson and Talwalkar, 2016, and Schmucker et al., 2021.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_zoo.comparison.candidates import Candidate
from vision_zoo.pareto import pareto_front
from vision_zoo.progress import Progress, SilentProgress
from vision_zoo.results import read_result, write_result
from vision_zoo.training import train
from vision_zoo.training.device import DeviceName
from vision_zoo.training.recipe import Recipe
from vision_zoo.training.run_directory import RunDirectory

_FEWEST_LEFT = 2
_ALWAYS_TRIED = 1.0  # seconds: an epoch that is shorter is trained whatever the share


class _SliceIsOverError(Exception):
    pass


@dataclass(frozen=True)
class Place:
    """Where runs go, on which device they are trained, and where the data is."""

    folder: Path
    device: DeviceName
    data_dir: Path | None

    def run(self, recipe: Recipe) -> Path:
        return train.default_path(recipe, self.folder / "runs")


class Journal:
    """What has been done of a comparison, so that a second call goes on where the first one was stopped.

    It counts the seconds of all calls; `spent` includes the present one.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self._path = path
        self._settings = dict(settings)
        self._started = time.monotonic()
        self._content = read_result(path) or {"settings": self._settings, "seconds": 0.0, "done": {}}
        self._before = float(self._content["seconds"])

    @property
    def same(self) -> bool:
        """Whether the folder's comparison was begun with these settings."""
        return bool(self._content["settings"] == self._settings)

    @property
    def spent(self) -> float:
        return self._before + time.monotonic() - self._started

    def done(self, key: str) -> Any:
        """What was kept under `key`; None if nothing was."""
        return self._content["done"].get(key)

    def keep(self, key: str, value: Any) -> None:
        """`key` is done and gave `value`, JSON that is not None."""
        self._content["done"][key] = value
        self._content["seconds"] = self.spent
        write_result(self._path, self._content)


@dataclass(frozen=True)
class Standing:
    """A candidate after a rung: epochs so far, and the validation accuracy of its best weights."""

    candidate: Candidate
    epochs: int
    validation_accuracy: float


def halve(
    found: Sequence[Candidate], place: Place, journal: Journal, *, seconds: float, progress: Progress
) -> tuple[list[Standing], dict[str, str], list[str]]:
    """Train in rungs until `seconds` of the journal's time are spent.

    Returns:
        The standing of every candidate that has an epoch, the reasons for which others have none, and who was in
        the last rung.
    """
    left_out: dict[str, str] = {}
    standings: dict[str, Standing] = {}
    alive = list(found)
    rungs = max(1, math.ceil(math.log2(max(1, len(found) / _FEWEST_LEFT))) + 1)
    for rung in range(rungs):
        for index, candidate in enumerate(alive):
            remaining = (rungs - rung) * len(alive) - index
            share = max(0.0, seconds - journal.spent) / max(1, remaining)
            reached = _train_for(candidate, share, rung, place, journal, progress)
            if reached is None:
                left_out[candidate.architecture] = _too_long(candidate, share)
            else:
                standings[candidate.architecture] = Standing(candidate, *reached)
        alive = [candidate for candidate in alive if candidate.architecture in standings]
        if rung < rungs - 1:
            alive = better_half([standings[candidate.architecture] for candidate in alive])
    return list(standings.values()), left_out, [candidate.architecture for candidate in alive]


def better_half(standings: Sequence[Standing]) -> list[Candidate]:
    """The better half, rounded up and never below two: whole fronts first, then by accuracy."""
    keep = max(min(_FEWEST_LEFT, len(standings)), math.ceil(len(standings) / 2))
    rest = list(standings)
    kept: list[Standing] = []
    while len(kept) < keep:
        front = [
            rest[index]
            for index in pareto_front([(one.candidate.p50_ms, one.validation_accuracy) for one in rest])
        ]
        best_first = sorted(front, key=lambda one: -one.validation_accuracy)
        kept += best_first[: keep - len(kept)]
        rest = [one for one in rest if one not in front]
    return [one.candidate for one in kept]


def other_seeds(
    finalists: Sequence[Standing],
    seeds: int,
    place: Place,
    journal: Journal,
    *,
    seconds: float,
    progress: Progress,
) -> None:
    """Train the finalists from seeds 1 on, as long as the first one, while there is time for a whole run."""
    for seed in range(1, seeds):
        for standing in finalists:
            key = f"seed {seed} {standing.candidate.architecture}"
            recipe = standing.candidate.recipe.override(seed=seed, epochs=standing.epochs)
            estimate = standing.candidate.start_seconds + standing.candidate.epoch_seconds * standing.epochs
            if journal.done(key) is None:
                if journal.spent + estimate > seconds:
                    progress.line(f"no time for seed {seed} of {standing.candidate.architecture}")
                    continue
                _start_or_resume(recipe, place, lambda _record: None)
                journal.keep(key, True)


def _train_for(
    candidate: Candidate, seconds: float, rung: int, place: Place, journal: Journal, progress: Progress
) -> tuple[int, float] | None:
    """Epochs and validation accuracy reached; None where not even one epoch fits."""
    key = f"rung {rung} {candidate.architecture}"
    kept = journal.done(key)
    if kept is not None:
        return int(kept[0]), float(kept[1])
    run = RunDirectory(place.run(candidate.recipe))
    first = not run.history_file.is_file()
    if first and candidate.start_seconds + candidate.epoch_seconds > max(2 * seconds, _ALWAYS_TRIED):
        return None
    deadline = time.monotonic() + seconds

    def watch(_record: Mapping[str, float]) -> None:
        if time.monotonic() + candidate.epoch_seconds / 2 >= deadline:
            raise _SliceIsOverError

    with suppress(_SliceIsOverError):
        _start_or_resume(candidate.recipe, place, watch)
    reached = _reached(run)
    progress.line(
        f"{candidate.architecture}: {reached[1]:.2%} of the validation images right after {reached[0]} epochs"
    )
    journal.keep(key, reached)
    return reached


def _start_or_resume(recipe: Recipe, place: Place, watch: Callable[[Mapping[str, float]], None]) -> None:
    path = place.run(recipe)
    if (path / "recipe.json").is_file():
        train.resume(
            path, device=place.device, data_dir=place.data_dir, progress=SilentProgress(), watch=watch
        )
    else:
        train.start(
            recipe,
            path,
            device=place.device,
            data_dir=place.data_dir,
            progress=SilentProgress(),
            watch=watch,
        )


def _reached(run: RunDirectory) -> tuple[int, float]:
    history = run.history()
    best = min(history, key=lambda record: record["validation_loss"])
    return int(history[-1]["epoch"]), float(best["validation_accuracy"])


def _too_long(candidate: Candidate, seconds: float) -> str:
    needed = candidate.start_seconds + candidate.epoch_seconds
    return (
        f"a first epoch would take about {needed:.0f} s, and its share of the budget is {seconds:.0f} s; "
        "give a larger --budget"
    )
