"""Order of a comparison: heads on frozen features, a student of the best, then the others.

While time is left, who was left out is trained, and then who was not trained to the end.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vision_zoo.architectures import find_architecture
from vision_zoo.core.errors import ExportError
from vision_zoo.experiments.compare.budget import BudgetProgress
from vision_zoo.experiments.compare.candidates import Candidate, is_solved, measure_candidate
from vision_zoo.experiments.compare.images import ComparedImages
from vision_zoo.experiments.compare.journal import Journal
from vision_zoo.experiments.compare.measure import MeasuredModel, ReadyModel, exported, measured, refitted
from vision_zoo.experiments.compare.place import Place
from vision_zoo.experiments.compare.reserve import affordable, exporting_seconds, measuring_seconds
from vision_zoo.experiments.compare.search import (
    Standing,
    go_on,
    missing_seeds,
    other_seeds,
    successive_halving,
    train_head,
    with_what_is_left,
)
from vision_zoo.experiments.compare.settings import STUDENT, ComparisonSettings
from vision_zoo.experiments.compare.student import MOST, can_teach, is_affordable, taught

if TYPE_CHECKING:
    import torch

_PAGE_SECONDS, _PAGE_SHARE = 3.0, 0.05
"""What recommending and the page take at most, in seconds and as a fraction of the budget."""
_LOOKED_AT = 0.35  # of the time after the heads, in which candidates are looked at before any is trained
_OVERRUN = 1.05  # of the budget, after which nothing more is measured
_SLOWEST_PACE = 4.0


@dataclass(eq=False)
class Work:
    """A comparison under way: where it happens, and what came of it so far.

    `left_out` says by architecture why it takes no part, `no_time` of which the budget had no time for. `pace` is how
    many times as long as estimated the last network took to export.
    """

    settings: ComparisonSettings
    images: ComparedImages
    place: Place
    journal: Journal
    progress: BudgetProgress
    device: "torch.device"
    clock: Callable[[], float]
    left_out: dict[str, str] = field(default_factory=dict)
    no_time: dict[str, str] = field(default_factory=dict)
    models: list[MeasuredModel] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    pace: float = 1.0
    _longest_look: float = 0.0
    _looked_at: dict[str, Candidate] = field(default_factory=dict)
    _standings: dict[str, Standing] = field(default_factory=dict)

    def run(self) -> set[str]:
        """Train and measure within the budget; returns the architectures that were trained with all seeds."""
        names = self.settings.architectures
        frozen = [name for name in names if find_architecture(name).recipe_defaults.get("frozen")]
        heads = self._heads(frozen)
        done = [*frozen, *(self._taught(heads) if STUDENT in names else [])]
        finalists = self._others([name for name in names if name not in done])
        self._missing_seeds(finalists)
        self._go_on()
        return {standing.candidate.architecture for standing in (*heads, *finalists)}

    @property
    def _end(self) -> float:
        """The second of the journal at which the page is begun."""
        budget = self.settings.budget_seconds
        return budget - min(_PAGE_SECONDS, _PAGE_SHARE * budget)

    @property
    def _left(self) -> float:
        return max(0.0, self._end - self.journal.spent)

    def _leave_out(self, name: str, what: str, seconds: float) -> None:
        """Say why an architecture is not trained: `what` would take so many seconds."""
        self.no_time[name] = (
            f"{what} about {seconds:.0f} s, and {self._left:.0f} s were left; use a larger --budget"
        )

    def _heads(self, architectures: Sequence[str]) -> list[Standing]:
        """Train and export the heads, the quickest first; each is said as soon as it can be used, and measured later."""
        found = [candidate for name in architectures if (candidate := self._look_at(name)) is not None]
        heads: list[Standing] = []
        ready: list[ReadyModel] = []
        longest = 0.0
        for candidate in sorted(found, key=lambda one: one.start_seconds):
            need = candidate.start_seconds + longest
            if ready and need > self._left:
                self._leave_out(candidate.architecture, "its features and its file take", need)
                continue
            head = train_head(candidate, self.place, self.journal, seconds=self._end, progress=self.progress)
            if isinstance(head, str):
                self.no_time[candidate.architecture] = head
                continue
            heads.append(head)
            begun = self.journal.spent
            for model in self._export(head):
                longest, begun = max(longest, self.journal.spent - begun), self.journal.spent
                self.progress.line(
                    f"ready: {model.session.path}: {model.accuracy:.2%} of {len(model.right):,} test images right"
                )
                ready.append(model)
        trained = [head for head in heads if not is_solved(head.candidate.recipe)]
        self._other_seeds(trained, self._end)
        for model in ready:
            self._measure(model, longest * len(ready))
        for index, model in enumerate(ready):
            if self.journal.spent + longest <= self._end:
                self._refit(index, model)
        return heads

    def _refit(self, index: int, model: ReadyModel) -> None:
        """Let the file of `models[index]`, which was `model`, know all images."""
        candidate = model.standing.candidate
        self.progress.describe(f"{candidate.architecture}: fitted to all images")
        _, splits = self.images.of(candidate.recipe)
        try:
            self.models[index] = refitted(self.models[index], model, self.place, splits)
        except ExportError as error:
            self.progress.line(f"{model.session.path} stays as it was scored: {error}")

    def _taught(self, heads: Sequence[Standing]) -> list[str]:
        """Let the student learn from its teacher, where there is time for it; the names of those that are done with."""
        teacher = next((head.candidate for head in heads if can_teach(head.candidate)), None)
        if teacher is None or (looked_at := self._look_at(STUDENT)) is None:
            return [] if teacher is None else [STUDENT]
        data = (self.settings, self.images, self.place)
        student = taught(looked_at, teacher, *data, device=self.device, clock=self.clock)
        if student is not None and is_affordable(student, MOST * self._left, self.journal):
            self.progress.line(f"{STUDENT} learns from {teacher.architecture}")
            self._train_alone(student, 1)
            return [STUDENT]
        return []

    def _others(self, architectures: Sequence[str]) -> list[Standing]:
        """Halve the candidates that can be afforded; then give the rest of the time to those that could not."""
        found: list[Candidate] = []
        waiting: list[str] = []
        until = self.journal.spent + _LOOKED_AT * (self._end - self.journal.spent)
        for name in architectures:
            if (found or self.models) and self.journal.spent + self._longest_look > until:
                waiting.append(name)
            elif (candidate := self._look_at(name)) is not None:
                found.append(candidate)
        chosen, too_expensive = affordable(found, self.settings, self.journal, self.pace)
        seconds = max(self.journal.spent, self._end - sum(map(self._measuring, chosen)))
        if self.models and seconds <= self.journal.spent:  # nothing could be trained: one after the other
            chosen, too_expensive = [], {one.architecture: "" for one in found}
        outcome = successive_halving(
            chosen,
            self.place,
            self.journal,
            seconds=seconds,
            seeds=self.settings.seeds,
            progress=self.progress,
        )
        for standings in (outcome.finalists, outcome.rest_of_the_front, outcome.others):
            self._other_seeds(standings, seconds)
        standings = [*outcome.finalists, *outcome.rest_of_the_front, *outcome.others]
        for index, standing in enumerate(standings):
            self._export_and_measure(standing, standings[index + 1 :])
        untrained = [one for one in found if one.architecture in {**too_expensive, **outcome.left_out}]
        self._with_what_is_left(sorted(untrained, key=self._cost), waiting)
        return outcome.finalists

    def _with_what_is_left(self, candidates: Sequence[Candidate], waiting: Sequence[str]) -> None:
        """Train one after the other, the cheapest first, each for its part of the time; then look at the others."""
        for index, candidate in enumerate(candidates):
            parts = len(candidates) - index + len(waiting)
            self._train_alone(candidate, parts)
        for index, name in enumerate(waiting):
            if (self.models or candidates) and self.journal.spent + self._longest_look > self._end:
                self._leave_out(name, "to look at it takes", self._longest_look)
            elif (looked_at := self._look_at(name)) is not None:
                self._train_alone(looked_at, len(waiting) - index)

    def _train_alone(self, candidate: Candidate, parts: int) -> None:
        """Train and measure within one of so many parts of the time, or in all of it where it needs that."""
        left = self._end - self.journal.spent
        need = self._cost(candidate)
        until = self.journal.spent + max(need, left / parts) - self._measuring(candidate)
        standing = None
        if need <= left or not self.models:
            standing = with_what_is_left(
                candidate, self.place, self.journal, seconds=until, progress=self.progress
            )
        if standing is None:
            self.no_time[candidate.architecture] = (
                f"one epoch and its measurement take about {need:.0f} s, and {max(0.0, left):.0f} s were left; use a "
                "larger --budget"
            )
        else:
            self._export_and_measure(standing)

    def _missing_seeds(self, standings: Sequence[Standing]) -> None:
        """Train the seeds for which too little time was reserved, and measure those models again."""
        for standing in standings:
            until = self._end - self._measuring(standing.candidate)
            lacking = missing_seeds(standing, self.settings.seeds, self.journal)
            if lacking and self.journal.spent + standing.seconds <= until:
                self._other_seeds([standing], until)
                self._export_and_measure(standing)

    def _go_on(self) -> None:
        """Continue the runs that the budget ended, the most accurate first, each for its part of the time."""
        cut = {one.figures.architecture for one in self.models if not one.figures.came_to_its_end}
        standings = sorted(map(self._standings.__getitem__, cut), key=lambda one: -one.validation_accuracy)
        for index, standing in enumerate(standings):
            candidate, left = standing.candidate, self._end - self.journal.spent
            need = self.settings.seeds * candidate.epoch_seconds + self._measuring(candidate)
            if need <= left:
                share = max(need, left / (len(standings) - index)) - self._measuring(candidate)
                until = self.journal.spent + share
                where = (self.place, self.journal)
                further = go_on(standing, self.settings.seeds, *where, seconds=until, progress=self.progress)
                self._export_and_measure(further)

    def _look_at(self, name: str) -> Candidate | None:
        """The candidate, without training it, found out once; None where it takes no part."""
        if name in self._looked_at:
            return self._looked_at[name]
        self.progress.describe(f"looking at {name}")
        started, data_dir = self.clock(), self.place.data_dir
        found = measure_candidate(
            name, self.settings, self.images, device=self.device, data_dir=data_dir, clock=self.clock
        )
        if isinstance(found, str):
            self.left_out[name] = found
            return None
        self._longest_look = max(self._longest_look, self.clock() - started)
        self._looked_at[name] = found
        return found

    def _other_seeds(self, standings: Sequence[Standing], seconds: float) -> None:
        seeds = self.settings.seeds
        other_seeds(standings, seeds, self.place, self.journal, seconds=seconds, progress=self.progress)

    def _measuring(self, candidate: Candidate) -> float:
        return measuring_seconds(candidate, self.settings, self.pace)

    def _cost(self, candidate: Candidate) -> float:
        return candidate.start_seconds + candidate.epoch_seconds + self._measuring(candidate)

    def _export_and_measure(self, standing: Standing, later: Sequence[Standing] = ()) -> None:
        """Leave enough time to export those that come `later`."""
        candidate = standing.candidate
        begun = self.journal.spent
        estimate = exporting_seconds(candidate, self.settings, self.pace)
        if self.models and begun + estimate > _OVERRUN * self.settings.budget_seconds:
            self.no_time[candidate.architecture] = (
                f"it was trained, and to export it takes about {estimate:.0f} s; use a larger --budget"
            )
            return
        for model in self._export(standing):
            self.pace = min(_SLOWEST_PACE, self.pace * (self.journal.spent - begun) / estimate)
            self._measure(model, self._exporting(later))
            begun = self.journal.spent

    def _export(self, standing: Standing) -> Iterator[ReadyModel]:
        _, splits = self.images.of(standing.candidate.recipe)
        for precision in self.settings.precisions:
            try:
                yield exported(standing, precision, self.settings, self.place, splits.test, self.progress)
            except ExportError as error:
                name = standing.candidate.architecture
                if (name, precision) in map(_key, self.models):
                    self.progress.line(f"{name}, {precision}, stays as it was before more epochs: {error}")
                else:
                    self.refused[f"{name}, {precision}"] = str(error)

    def _exporting(self, standings: Sequence[Standing]) -> float:
        return sum(exporting_seconds(one.candidate, self.settings, self.pace) for one in standings)

    def _measure(self, model: ReadyModel, reserved: float = 0.0) -> None:
        """Measure, in place of an earlier file; in short where the budget but for the seconds `reserved` is spent."""
        candidate = model.standing.candidate
        _, splits = self.images.of(candidate.recipe)
        whole = self._measuring(candidate) - exporting_seconds(candidate, self.settings, self.pace)
        brief = self.journal.spent + whole + reserved > self.settings.budget_seconds
        new = measured(model, self.settings, self.place, splits.test, self.progress, brief=brief)
        self.models = [*(one for one in self.models if _key(one) != _key(new)), new]
        self._standings[candidate.architecture] = model.standing


def _key(model: MeasuredModel) -> tuple[str, str]:
    return model.figures.architecture, model.figures.precision
