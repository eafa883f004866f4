"""What the words of claims mean: bands, checks and readings.

Words without a number have a band that is chosen here, whatever was measured: a match, or as good, is at most `POINTS`
below; no gain is at most `POINTS` above; a number of points is meant to `NEAR` or half of it, whichever is less.
"""

from collections.abc import Callable

from vision_zoo.core.estimates import Band
from vision_zoo.experiments.report.claims.checks import Check
from vision_zoo.experiments.report.claims.difference import Difference
from vision_zoo.experiments.report.claims.measures import TEST_ACCURACY, Measure
from vision_zoo.experiments.report.claims.verdict import Reading
from vision_zoo.experiments.report.verdicts import POINTS

TEXT = "as stated in the text"
FIGURES = "as the figures imply"
SLOW = "as the figures imply, learning rate halved by StepLR"
NEAR, NEAR_ON_COPY = 1.0, 1.5
LITTLE, SOME = 0.5, 2.0  # points: "marginally", "a little"
FAR = 1.5  # times: "far larger"
ABOVE, BELOW = Band(low=0.0), Band(high=0.0)
MATCH = Band(low=-POINTS, equivalence=True)
NO_GAIN = Band(high=POINTS, equivalence=True)


def better(first: str, *others: str, measure: Measure = TEST_ACCURACY) -> tuple[Check, ...]:
    return tuple(Difference(measure, first, other, ABOVE) for other in others)


def less(measure: Measure, first: str, second: str) -> tuple[Check, ...]:
    return (Difference(measure, first, second, BELOW),)


def worth(
    points: float, first: str, second: str, *, near: float = NEAR, learnt: bool = False
) -> tuple[Check, ...]:
    """`first` is better by so many points, give or take `near` or half of them, whichever is less."""
    near = min(near, points / 2)
    band = Band(round(points - near, 3), round(points + near, 3), equivalence=True)
    return (Difference(TEST_ACCURACY, first, second, band, learnt=learnt),)


def readings(check: Callable[..., tuple[Check, ...]], **recipes: tuple[str, ...]) -> tuple[Reading, ...]:
    """The same check of the recipes of every reading, by the names below."""
    names = {"text": TEXT, "figures": FIGURES, "slow": SLOW}
    return tuple(Reading(names[key], check(*chosen)) for key, chosen in recipes.items())
