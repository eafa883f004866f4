"""The check that the point of a grid that a report chose is the best one."""

import statistics
from collections import defaultdict
from dataclasses import dataclass

from vision_zoo.core.estimates import Band, estimate_difference, p_inside, p_outside
from vision_zoo.core.statistics import holm
from vision_zoo.core.tables import counted
from vision_zoo.experiments.report.claims.checks import Outcome
from vision_zoo.experiments.report.claims.evidence import Evidence
from vision_zoo.experiments.report.verdicts import POINTS
from vision_zoo.recipes import RECIPES
from vision_zoo.recipes.grids import GRIDS

_BAND = Band(low=-POINTS, equivalence=True)
Point = tuple[int, float]


@dataclass(frozen=True)
class BestOfGrid:
    """No other point of the published grid over `recipe` is better than the report's best by more than the margin."""

    recipe: str

    @property
    def recipes(self) -> tuple[str, ...]:
        return (self.recipe,)

    @property
    def best(self) -> Point:
        """Batch size and learning rate of the report's highest accuracy."""
        reported = GRIDS[self.recipe].reported
        return max(reported, key=reported.__getitem__)

    @property
    def rule(self) -> str:
        size, rate = self.best
        return (
            f"validation accuracy of `{self.recipe}` with batch size {size} and learning rate {rate:g} minus that of "
            f"every other point: above -{POINTS:g} points"
        )

    def outcome(self, evidence: Evidence) -> Outcome:
        points, hardware = self._points(evidence)
        runs = min(len(points[point]) for point in GRIDS[self.recipe].reported)
        required = evidence.of(self.recipe).required
        own = points.pop(self.best, {})
        better = sum(
            bool(other) and statistics.fmean(other.values()) > statistics.fmean(own.values())
            for other in points.values()
            if own
        )
        figures = (
            f"Grid of `{self.recipe}`: {counted(runs, 'run')} per point; {better} of {len(points)} other "
            f"points have a higher accuracy{f'; {hardware}' if hardware else ''}."
        )
        if runs < required:
            more = f"{required - runs} more seeds at every point of the grid of `{self.recipe}`"
            return Outcome(figures, needs=(more,))
        estimates = [
            estimate_difference(list(own.values()), list(other.values())) for other in points.values()
        ]
        return Outcome(
            figures,
            max(p_inside([one], _BAND) for one in estimates),
            min(holm([p_outside([one], _BAND) for one in estimates])),
            (f"more seeds at every point of the grid of `{self.recipe}`",),
        )

    def _points(self, evidence: Evidence) -> tuple[dict[Point, dict[int, float]], str]:
        """By point of the published grid and seed: validation accuracy in percent; and the hardware."""
        found: dict[Point, dict[int, float]] = defaultdict(dict)
        hardware = {}
        for grid in evidence.grids:
            if grid.recipe != self.recipe or not RECIPES[self.recipe].has_settings(grid.settings):
                continue
            hardware[grid.environment.description] = True
            for point in grid.points:
                if point.validation_accuracy is None or None in {point.batch_size, point.learning_rate}:
                    continue
                place = (point.batch_size or 0, point.learning_rate or 0.0)
                if place in GRIDS[self.recipe].reported:
                    seed = grid.seed if point.seed is None else point.seed
                    found[place].setdefault(seed, 100 * point.validation_accuracy)
        for place in GRIDS[self.recipe].reported:
            found.setdefault(place, {})
        return dict(found), "; ".join(hardware)
