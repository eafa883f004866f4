"""The check that the means of two recipes differ as a claim says: over runs, and over test images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vision_zoo.core.estimates import (
    Band,
    Bootstrapped,
    Uncertain,
    estimate_difference,
    estimate_over_images,
    p_inside,
    p_outside,
    rate_interval,
    runs_needed,
)
from vision_zoo.core.results import SeedResult
from vision_zoo.core.statistics import SIGNIFICANT, holm, mcnemar
from vision_zoo.experiments.report.claims.checks import Outcome, capital, missing_runs, runs_of
from vision_zoo.experiments.report.claims.evidence import Evidence, Measured
from vision_zoo.experiments.report.claims.measures import Measure
from vision_zoo.experiments.report.verdicts import more_runs


@dataclass(frozen=True)
class Difference:
    """The mean of `measure` over the runs of `first`, minus that of `second`, lies in `band`.

    Of the test accuracy, both the interval over runs and that over test images have to. With `learnt`, runs that
    stayed at chance level are left out, and counted.
    """

    measure: Measure
    first: str
    second: str
    band: Band
    learnt: bool = False

    @property
    def recipes(self) -> tuple[str, ...]:
        return self.first, self.second

    @property
    def rule(self) -> str:
        low, high = (
            math.exp(edge) if self.measure.ratio and math.isfinite(edge) else edge
            for edge in (self.band.low, self.band.high)
        )
        unit = "" if self.measure.ratio else self.measure.difference_unit
        if math.isinf(high):
            band = f"is above {low:g}{unit}"
        else:
            band = f"is below {high:g}{unit}" if math.isinf(low) else f"is between {low:g} and {high:g}{unit}"
        name = f"({self.measure.name})" if " minus " in self.measure.name else f"of the {self.measure.name}"
        text = f"{'ratio' if self.measure.ratio else 'difference'} {name}, `{self.first}` "
        text += f"{'over' if self.measure.ratio else 'minus'} `{self.second}`, {band}"
        return f"{text}, over runs that learnt" if self.learnt else text

    def outcome(self, evidence: Evidence) -> Outcome:
        sides = [evidence.of(name) for name in self.recipes]
        runs = [side.learnt if self.learnt else side.runs for side in sides]
        values = [
            [value for run in some if (value := self.measure.of(side.recipe, run)) is not None]
            for side, some in zip(sides, runs, strict=True)
        ]
        lost = " ".join(
            collapsed(side) for side in sides if self.learnt and len(side.learnt) < len(side.runs)
        )
        estimates = self._known(sides, runs, values)
        means = self._means(sides, values, estimates)
        paired = _mcnemar(sides, runs) if self.measure.images else ""
        figures = " ".join(part for part in (means, paired, lost) if part)
        lacking = missing_runs(sides, [self._counted(*side) for side in zip(sides, values, strict=True)])
        if lacking or len(estimates) < 1 + self.measure.images:
            return Outcome(figures, needs=lacking or ("the predictions of both on the same test images",))
        return Outcome(
            figures,
            p_inside(estimates, self.band),
            p_outside(estimates, self.band),
            self._needs(sides, values, estimates),
        )

    def _counted(self, side: Measured, values: Sequence[float]) -> int:
        """Runs that count towards those required: one that did not learn does, if at least two did."""
        return len(side.runs) if self.learnt and len(values) > 1 else len(values)

    def _known(
        self, sides: Sequence[Measured], runs: Sequence[Sequence[SeedResult]], values: Sequence[list[float]]
    ) -> list[Uncertain]:
        """The estimate over runs, and of the test accuracy the one over images; those that there are."""
        found: list[Uncertain] = []
        if min(map(len, values)) > 1:
            found.append(estimate_difference(*values))
        if self.measure.images and (images := _over_images(sides, runs)) is not None:
            found.append(images)
        return found

    def _means(
        self, sides: Sequence[Measured], values: Sequence[list[float]], estimates: Sequence[Uncertain]
    ) -> str:
        """Both means with runs and hardware, and the difference with its intervals."""
        texts = [
            f"`{side.recipe.name}` {self.measure.shown(float(np.mean(some)))} (n = {len(some)}, {side.hardware})"
            if some
            else f"`{side.recipe.name}` not run yet"
            for side, some in zip(sides, values, strict=True)
        ]
        name = f"{self.measure.name}, geometric means" if self.measure.ratio else self.measure.name
        text = f"{capital(name)}: {', '.join(texts)}"
        if all(values):
            difference = self.measure.difference(float(np.mean(values[0]) - np.mean(values[1])))
            intervals = "; ".join(
                self._interval(one, "test images" if isinstance(one, Bootstrapped) else "runs")
                for one in estimates
            )
            text += f"; {'ratio' if self.measure.ratio else 'difference'} {difference}{self.measure.difference_unit}"
            text += f" ({intervals})" if intervals else ""
        return f"{text}."

    def _interval(self, estimate: Uncertain, what: str) -> str:
        interval = estimate.interval(self.band.confidence)
        ends = f"{self.measure.difference(interval.low)} to {self.measure.difference(interval.high)}"
        return f"{self.band.confidence:.0%} over {what}: {ends}"

    def _needs(
        self, sides: Sequence[Measured], values: Sequence[list[float]], estimates: Sequence[Uncertain]
    ) -> tuple[str, ...]:
        """What it takes if neither is shown: runs where they leave it open, and images where those do."""
        found = []
        for estimate in estimates:
            if min(p_inside([estimate], self.band), p_outside([estimate], self.band)) < SIGNIFICANT:
                continue
            if isinstance(estimate, Bootstrapped):
                interval = estimate.interval(self.band.confidence)
                reach, distance = (interval.high - interval.low) / 2, self.band.distance(estimate.value)
                times = math.ceil((reach / distance) ** 2) if distance > 0 else math.inf
                found.append(
                    f"{min(times, 1000):.0f} times as many test images" if times < 1000 else "other images"
                )
                continue
            variances = [float(np.var(some, ddof=1)) for some in values]
            least = max(side.required for side in sides)
            runs = runs_needed(estimate.value, variances, self.band, least=least)
            if runs is None:
                found.append(f"{more_runs(None)} of each")
            else:
                found += [
                    runs_of(runs - len(some), side.recipe.name)
                    for side, some in zip(sides, values, strict=True)
                    if runs > len(some)
                ]
        return tuple(found)


def collapsed(side: Measured) -> str:
    """A sentence on runs that never learnt, with the exact interval of their rate."""
    lost = len(side.runs) - len(side.learnt)
    rate = rate_interval(lost, len(side.runs))
    return (
        f"{lost} of {len(side.runs)} runs of `{side.recipe.name}` never learnt (exact 95% interval of the rate: "
        f"{rate.low:.0%} to {rate.high:.0%}); the difference is conditional on both having learnt."
    )


def _over_images(sides: Sequence[Measured], runs: Sequence[Sequence[SeedResult]]) -> Bootstrapped | None:
    if not all(runs) or not _same_images(sides):
        return None
    first, second = (side.right(some) for side, some in zip(sides, runs, strict=True))
    if first is None or second is None:
        return None
    found = estimate_over_images(first, second)
    return Bootstrapped(100 * found.value, 100 * found.replicates)


def _same_images(sides: Sequence[Measured]) -> bool:
    stored = [side.predictions.labels for side in sides if side.predictions is not None]
    return len(stored) == len(sides) and np.array_equal(stored[0], stored[1])


def _mcnemar(sides: Sequence[Measured], runs: Sequence[Sequence[SeedResult]]) -> str:
    """McNemar's test of every two runs with the same seed, with Holm's correction; it decides nothing."""
    seeds = [{run.seed: run for run in some} for some in runs]
    shared = sorted(seeds[0].keys() & seeds[1].keys())
    if not shared or not _same_images(sides):
        return ""
    first, second = (
        side.right([by_seed[seed] for seed in shared]) for side, by_seed in zip(sides, seeds, strict=True)
    )
    if first is None or second is None:
        return ""
    tests = holm([mcnemar(*pair).p_value for pair in zip(first, second, strict=True)])
    significant = sum(p_value < SIGNIFICANT for p_value in tests)
    return (
        f"McNemar's test is significant for {significant} of {len(shared)} pairs of runs with the same seed."
    )
