"""Measures of a run that claims are about."""

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from vision_zoo.core.results import SeedResult
from vision_zoo.data import find_dataset
from vision_zoo.recipes.recipe import Recipe


@dataclass(frozen=True)
class Measure:
    """A value of a run, None where the run lacks it.

    `unit` is that of a value, and differences of percentages are points. Of a `ratio` the value is the logarithm.
    With `images`, it is the accuracy on the test images, whose sampling is looked at as well.
    """

    name: str
    of: Callable[[Recipe, SeedResult], float | None]
    unit: str = ""
    ratio: bool = False
    images: bool = False
    digits: int = 2

    def shown(self, value: float) -> str:
        """A value, or the mean of several, as text."""
        return f"{math.exp(value) if self.ratio else value:.{self.digits}f}{self.unit}"

    def difference(self, value: float) -> str:
        """A difference of two values as text, without unit."""
        return f"{math.exp(value):.2f}" if self.ratio else f"{value:+.{self.digits}f}"

    @property
    def difference_unit(self) -> str:
        """Of a difference."""
        return " times" if self.ratio else " points" if self.unit else ""


def _validation_accuracy(_recipe: Recipe, run: SeedResult) -> float | None:
    return None if run.validation_accuracy is None else 100 * run.validation_accuracy


def _first_epoch(_recipe: Recipe, run: SeedResult) -> float | None:
    first = run.history[0].test_accuracy if run.history else None
    return None if first is None else 100 * first


def _total_loss(recipe: Recipe, run: SeedResult) -> float:
    """The sum of the means of all batches, as report B prints it, as a logarithm."""
    images = (find_dataset(recipe.data.dataset).train_images or 0) * (1 - recipe.stopping.validation_fraction)
    return math.log(run.train_loss * math.ceil(round(images) / recipe.batch_size))


def _validation_gap(_recipe: Recipe, run: SeedResult) -> float | None:
    validation = run.validation_accuracy
    return None if validation is None else 100 * (run.train_accuracy - validation)


def _rises(_recipe: Recipe, run: SeedResult) -> float:
    losses = [record.train_loss for record in run.history]
    return float(sum(later > earlier for earlier, later in pairwise(losses)))


def _last_loss(_recipe: Recipe, run: SeedResult) -> float | None:
    return run.history[-1].train_loss if run.history else None


def _mean_loss(_recipe: Recipe, run: SeedResult) -> float | None:
    return statistics.fmean(record.train_loss for record in run.history) if run.history else None


TEST_ACCURACY = Measure("test accuracy", lambda _recipe, run: 100 * run.test_accuracy, unit="%", images=True)
VALIDATION_ACCURACY = Measure("validation accuracy", _validation_accuracy, unit="%")
FIRST_EPOCH = Measure("test accuracy after the first epoch", _first_epoch, unit="%")
TEST_GAP = Measure(
    "training accuracy minus test accuracy",
    lambda _recipe, run: 100 * (run.train_accuracy - run.test_accuracy),
    unit=" points",
)
VALIDATION_GAP = Measure("training accuracy minus validation accuracy", _validation_gap, unit=" points")
TOTAL_LOSS = Measure("training loss summed over batches", _total_loss, ratio=True)
LAST_LOSS = Measure("training loss of the last epoch", _last_loss, digits=4)
MEAN_LOSS = Measure("mean of the training loss over all epochs", _mean_loss, digits=3)
RISES = Measure("epochs in which the training loss rises", _rises, digits=1)


def best_loss_is_not_best_accuracy(run: SeedResult) -> bool | None:
    """Whether the epoch with the lowest validation loss does not have the highest validation accuracy."""
    records = [
        (record.validation_loss, record.validation_accuracy)
        for record in run.history
        if record.validation_loss is not None and record.validation_accuracy is not None
    ]
    if not records:
        return None
    return min(records)[1] < max(accuracy for _, accuracy in records)
