"""Checks of which claims are made: each gives p-values for and against, its figures, and what it lacks."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from vision_zoo.core.estimates import (
    MAX_RUNS,
    Band,
    estimate_mean,
    p_inside,
    p_outside,
    rate_interval,
)
from vision_zoo.core.results import SeedResult, TimingResult
from vision_zoo.experiments.report.claims.evidence import Evidence, Measured
from vision_zoo.experiments.report.verdicts import more_runs

LEAST_ROUNDS = 5


@dataclass(frozen=True)
class Outcome:
    """The outcome of a check. `shown_p` and `refuted_p` are None without enough data.

    `figures` is a sentence, `needs` what it takes to show or refute it where neither is done.
    """

    figures: str
    shown_p: float | None = None
    refuted_p: float | None = None
    needs: tuple[str, ...] = ()


class Check(Protocol):
    """A part of a claim."""

    @property
    def recipes(self) -> tuple[str, ...]:
        """Those that it is about."""

    @property
    def rule(self) -> str:
        """What has to be so, in words."""

    def outcome(self, evidence: Evidence) -> Outcome:
        """Look at the evidence."""


@dataclass(frozen=True)
class Count:
    """`first` over `second` of something that is counted and does not vary: `what` lies in `band`."""

    what: str
    first: str
    second: str
    band: Band
    said: str
    compared: str = "than"

    @property
    def recipes(self) -> tuple[str, ...]:
        return self.first, self.second

    @property
    def rule(self) -> str:
        return f"`{self.first}` has {self.said} {self.what} {self.compared} `{self.second}`"

    @property
    def fixed(self) -> bool:
        """Whether training has no influence on it."""
        return self.what != "steps"

    def outcome(self, evidence: Evidence) -> Outcome:
        counts = [self._count(evidence.of(name), evidence) for name in self.recipes]
        lacking = [name for name, count in zip(self.recipes, counts, strict=True) if count is None]
        first, second = (count or 0.0 for count in counts)
        if lacking:
            names = ", ".join(f"`{name}`" for name in lacking)
            return Outcome(f"The {self.what} of {names} are unknown.", needs=(f"{self.what} of {names}",))
        ratio = first / second
        inside = self.band.low < ratio < self.band.high
        figures = (
            f"{capital(self.what)}: {first:,.0f} of `{self.first}`, {second:,.0f} of `{self.second}` "
            f"({100 * (ratio - 1):+.1f}%)."
        )
        return Outcome(figures, 0.0 if inside else 1.0, 1.0 if inside else 0.0)

    def _count(self, measured: Measured, evidence: Evidence) -> float | None:
        recipe = measured.recipe
        if self.what == "parameters":
            return recipe.parameters
        if self.what == "steps":
            return statistics.fmean(run.steps for run in measured.runs) if measured.runs else None
        return evidence.macs.get((recipe.architecture, recipe.data.dataset))


@dataclass(frozen=True)
class Timing:
    """`first` takes less time than `second`, in `what`: only rounds in which both were timed in turn count."""

    what: str
    first: str
    second: str

    @property
    def recipes(self) -> tuple[str, ...]:
        return self.first, self.second

    @property
    def rule(self) -> str:
        return f"`{self.first}` takes less time for {self.what} than `{self.second}`"

    def outcome(self, evidence: Evidence) -> Outcome:
        both = f"`{self.first}` and `{self.second}`"
        found = max(evidence.timings, key=self._rounds, default=None)
        if found is None or self._rounds(found) < LEAST_ROUNDS:
            return Outcome(
                f"{both} were not timed alternately.",
                needs=(f"an interleaved timing run of {self.what}",),
            )
        seconds = [found.seconds[self.what][name] for name in self.recipes]
        ratio = estimate_mean([math.log(other / own) for own, other in zip(*seconds, strict=True)])
        band = Band(low=0.0)
        interval = ratio.interval(band.confidence)
        first, second = (statistics.geometric_mean(values) for values in seconds)
        figures = (
            f"{capital(self.what)}: {first:#.3g} s with `{self.first}`, {second:#.3g} s with `{self.second}`, "
            f"ratio {math.exp(ratio.value):.2f} ({math.exp(interval.low):.2f} to {math.exp(interval.high):.2f}; "
            f"{len(seconds[0])} alternating rounds of {found.images:,} images, {found.environment.description})."
        )
        longer = f"more than {len(seconds[0])} rounds of more than {found.images:,} images"
        needs = (f"an interleaved timing run of {self.what} with {longer}",)
        return Outcome(figures, p_inside([ratio], band), p_outside([ratio], band), needs)

    def _rounds(self, timing: TimingResult) -> int:
        found = timing.seconds.get(self.what, {})
        return min(len(found.get(name, ())) for name in self.recipes)


@dataclass(frozen=True)
class Rate:
    """In most runs of `recipes` something `holds`: the exact interval of its probability is above one half."""

    recipes: tuple[str, ...]
    holds: Callable[[SeedResult], bool | None]
    said: str

    @property
    def rule(self) -> str:
        return f"in more than half of the runs, {self.said}"

    def outcome(self, evidence: Evidence) -> Outcome:
        sides = [evidence.of(name) for name in self.recipes]
        answers = [answer for side in sides for run in side.runs if (answer := self.holds(run)) is not None]
        lacking = missing_runs(sides)
        if not answers:
            return Outcome("Not run yet.", needs=lacking)
        count, runs = sum(answers), len(answers)
        interval = rate_interval(count, runs)
        figures = (
            f"True for {count} of {runs} runs of {listed(self.recipes)}; the exact 95% interval of the probability is "
            f"{interval.low:.0%} to {interval.high:.0%} ({hardware(sides)})."
        )
        if lacking:
            return Outcome(figures, needs=lacking)
        more = (f"{_runs_to_tell(count / runs, runs)} runs in all",)
        return Outcome(figures, float(interval.low <= 0.5), float(interval.high >= 0.5), more)


def _runs_to_tell(rate: float, runs: int) -> str:
    for trials in range(runs + 1, MAX_RUNS + 1):
        interval = rate_interval(round(rate * trials), trials)
        if interval.low > 0.5 or interval.high < 0.5:
            return str(trials)
    return f"over {MAX_RUNS:,}"


def missing_runs(sides: Iterable[Measured], counts: Sequence[int] | None = None) -> tuple[str, ...]:
    """How many runs each of `sides` lacks for a verdict; `counts` are those it has, else all of its runs."""
    sides = list(sides)
    have = [len(side.runs) for side in sides] if counts is None else counts
    return tuple(
        runs_of(side.required - count, side.recipe.name)
        for side, count in zip(sides, have, strict=True)
        if count < side.required
    )


def runs_of(count: int, name: str) -> str:
    """So many more runs of a recipe, in words."""
    return f"{more_runs(count)} of `{name}`"


def capital(text: str) -> str:
    """The text as the beginning of a sentence."""
    return f"{text[0].upper()}{text[1:]}"


def listed(names: Iterable[str]) -> str:
    """Names of recipes in Markdown."""
    return " and ".join(f"`{name}`" for name in names)


def hardware(sides: Iterable[Measured]) -> str:
    """What they ran on, each once."""
    return "; ".join(dict.fromkeys(side.hardware for side in sides if side.hardware))
