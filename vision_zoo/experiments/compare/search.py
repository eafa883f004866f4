"""Successive halving: all architectures for a short time, the better half for longer, and so on.

Better is decided on validation images alone, and by two things: an architecture stays as long as no other is both
quicker for an image and more accurate (non-dominated sorting), so that small models are not lost to large ones. Every
rung takes the same share of the time, and time that is left goes to those that were dropped, then to all that have not
come to their end. After Jamieson and Talwalkar, 2016, and Schmucker et al., 2021.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vision_zoo.core.statistics import pareto_front
from vision_zoo.experiments.compare.budget import BudgetProgress
from vision_zoo.experiments.compare.candidates import Candidate
from vision_zoo.experiments.compare.journal import Journal
from vision_zoo.experiments.compare.place import ALWAYS_TRIED, Place, stopped_early, too_long, train_for
from vision_zoo.training import train
from vision_zoo.training.run_directory import RunDirectory

_FEWEST_LEFT = 2
_SLACK = 1.05
"""Estimates are no better: time also passes between the decision for an epoch and its beginning."""
_FIRST_BRACKET, _WORTH_A_BRACKET = 0.5, 0.05  # shares of the time


@dataclass(frozen=True)
class Standing:
    """A candidate after a rung: epochs so far, and the validation accuracy of its best weights (without validation 0)."""

    candidate: Candidate
    epochs: int
    validation_accuracy: float

    @property
    def seconds(self) -> float:
        """An estimate for a run as long."""
        return self.candidate.start_seconds + self.candidate.epoch_seconds * self.epochs


@dataclass(frozen=True)
class Outcome:
    """Of every candidate that has an epoch its standing, of the others why they have none, and who is trained again."""

    standings: list[Standing]
    left_out: dict[str, str]
    finalists: list[Standing]
    rest_of_the_front: list[Standing]

    @property
    def others(self) -> list[Standing]:
        """Neither finalists nor on the front, the most accurate first."""
        others = [one for one in self.standings if one not in [*self.finalists, *self.rest_of_the_front]]
        return sorted(others, key=lambda one: -one.validation_accuracy)


def successive_halving(
    found: Sequence[Candidate],
    place: Place,
    journal: Journal,
    *,
    seconds: float,
    seeds: int,
    progress: BudgetProgress,
) -> Outcome:
    """Halve within half of the time until second `seconds` of the journal; then again among those that were dropped.

    A slow architecture gets few epochs in the first rung, and the quick ones end early by themselves: what they leave
    goes to it, but for what the other seeds of the best will need. What is left then goes to the best.
    """
    standings: dict[str, Standing] = {}
    left_out: dict[str, str] = {}
    going, until, bracket = list(found), journal.spent + _FIRST_BRACKET * (seconds - journal.spent), 0
    while True:
        before = _epochs(standings)
        _halve(going, bracket, standings, left_out, place, journal, seconds=until, progress=progress)
        finalists = _last_two(list(standings.values()))
        front = [one for one in _front(list(standings.values())) if one not in finalists]
        spare = seconds - journal.spent - (seeds - 1) * sum(one.seconds for one in [*finalists, *front])
        unfinished = [one for one in found if not RunDirectory(place.run(one.recipe)).finished]
        dropped = [one for one in unfinished if one not in [best.candidate for best in finalists]]
        stuck = _epochs(standings) == before
        if spare < _WORTH_A_BRACKET * seconds or not unfinished or (stuck and going == unfinished):
            return Outcome(list(standings.values()), left_out, finalists, front)
        if dropped and not stuck:
            going, until = dropped, journal.spent + spare
        else:  # other seeds will take as long
            going, until = unfinished, journal.spent + spare / seeds
        bracket += 1


def _halve(
    found: Sequence[Candidate],
    bracket: int,
    standings: dict[str, Standing],
    left_out: dict[str, str],
    place: Place,
    journal: Journal,
    *,
    seconds: float,
    progress: BudgetProgress,
) -> None:
    """Train in rungs until `seconds` of the journal's time are spent; updates `standings` and `left_out`."""
    alive = list(found)
    rungs = max(1, math.ceil(math.log2(max(1, len(found) / _FEWEST_LEFT))) + 1)
    for rung in range(rungs):
        for index, candidate in enumerate(alive):
            remaining = (rungs - rung) * len(alive) - index
            share = max(0.0, seconds - journal.spent) / max(1, remaining)
            key = f"bracket {bracket} rung {rung} {candidate.architecture}"
            reached = train_for(candidate, share, key, place, journal, progress)
            if reached is None:
                left_out[candidate.architecture] = too_long(candidate, share)
            else:
                standings[candidate.architecture] = Standing(candidate, *reached)
                left_out.pop(candidate.architecture, None)
        alive = [candidate for candidate in alive if candidate.architecture in standings]
        if rung < rungs - 1:
            half = better_half([standings[candidate.architecture] for candidate in alive])
            alive = [standing.candidate for standing in half]


def _epochs(standings: Mapping[str, Standing]) -> int:
    return sum(standing.epochs for standing in standings.values())


def _last_two(standings: list[Standing]) -> list[Standing]:
    while len(standings) > _FEWEST_LEFT:
        standings = better_half(standings)
    return standings


def _front(standings: Sequence[Standing]) -> list[Standing]:
    """Those that no other beats in latency and validation accuracy."""
    points = [(one.candidate.p50_ms, one.validation_accuracy) for one in standings]
    return [standings[index] for index in pareto_front(points)]


def better_half(standings: Sequence[Standing]) -> list[Standing]:
    """The better half, rounded up and never below two: whole fronts first, then by accuracy."""
    keep = max(min(_FEWEST_LEFT, len(standings)), math.ceil(len(standings) / 2))
    rest = list(standings)
    kept: list[Standing] = []
    while len(kept) < keep:
        front = _front(rest)
        best_first = sorted(front, key=lambda one: -one.validation_accuracy)
        kept += best_first[: keep - len(kept)]
        rest = [one for one in rest if one not in front]
    return kept


def train_head(
    candidate: Candidate, place: Place, journal: Journal, *, seconds: float, progress: BudgetProgress
) -> Standing | str:
    """Train a head on frozen features to its end, or say why it does not fit until second `seconds`."""
    share = max(0.0, seconds - journal.spent)
    if candidate.start_seconds > max(share, ALWAYS_TRIED):
        return too_long(candidate, share)
    reached = train_for(candidate, share, f"frozen {candidate.architecture}", place, journal, progress)
    return too_long(candidate, share) if reached is None else Standing(candidate, *reached)


def go_on(
    standing: Standing,
    seeds: int,
    place: Place,
    journal: Journal,
    *,
    seconds: float,
    progress: BudgetProgress,
) -> Standing:
    """Continue a run that the budget had ended until second `seconds`, and its other seeds to as many epochs."""
    candidate = standing.candidate
    recipes = [candidate.recipe.override(seed=seed) for seed in range(1, seeds)]
    others = [run for run in map(RunDirectory, map(place.run, recipes)) if run.recipe_file.is_file()]
    share = (seconds - journal.spent) / (1 + len(others))
    key = f"further {candidate.architecture}"
    reached = train_for(candidate, share, key, place, journal, progress, further=True)
    if reached is None:  # the first epoch is done
        return standing
    for run in others:
        if not (run.finished and (stopped_early(run) or run.metrics().epochs >= reached[0])):
            inside = progress.part(f"{candidate.architecture}, {run.path.name}")
            train.resume(
                run.path, epochs=reached[0], device=place.device, data_dir=place.data_dir, progress=inside
            )
    return Standing(candidate, *reached)


def with_what_is_left(
    candidate: Candidate, place: Place, journal: Journal, *, seconds: float, progress: BudgetProgress
) -> Standing | None:
    """Train a candidate that was left out until second `seconds`; None if not even one epoch fits."""
    share = seconds - journal.spent
    if _SLACK * share < candidate.start_seconds + candidate.epoch_seconds:
        return None
    reached = train_for(candidate, share, f"left {candidate.architecture}", place, journal, progress)
    return None if reached is None else Standing(candidate, *reached)


def other_seeds(
    chosen: Sequence[Standing],
    seeds: int,
    place: Place,
    journal: Journal,
    *,
    seconds: float,
    progress: BudgetProgress,
) -> None:
    """Train them from seeds 1 on, as long as the first run, while there is time for a whole one."""
    missing: list[str] = []
    for seed in range(1, seeds):
        for standing in chosen:
            recipe = standing.candidate.recipe.override(seed=seed, epochs=standing.epochs)
            if seed in missing_seeds(standing, seeds, journal):
                if journal.spent + standing.seconds > seconds:
                    missing.append(standing.candidate.architecture)
                    continue
                begun = RunDirectory(place.run(recipe))
                if begun.recipe_file.is_file():  # in an earlier call, which may have given it other epochs
                    recipe = begun.recipe()
                inside = progress.part(f"{recipe.architecture}, seed {seed}")
                place.train(recipe, inside)
                journal.keep(_seed_key(standing, seed), True)
    if missing:
        progress.line(f"not enough time for all {seeds} seeds of {', '.join(dict.fromkeys(missing))}")


def missing_seeds(standing: Standing, seeds: int, journal: Journal) -> list[int]:
    """Seeds from 1 on that it was not trained from."""
    return [seed for seed in range(1, seeds) if journal.done(_seed_key(standing, seed)) is None]


def _seed_key(standing: Standing, seed: int) -> str:
    return f"seed {seed} {standing.candidate.architecture}"
