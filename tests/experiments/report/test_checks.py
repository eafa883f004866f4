"""Checks of claims beside differences: rates over runs, times, grids; and the measures of a run."""

import numpy as np
import pytest

from tests.experiments.report.evidence import SECOND, evidence_of, measured, verdict_of
from vision_zoo.core.environment import Environment
from vision_zoo.core.results import DataUsed, EpochRecord, GridPoint, GridResult, TimingResult
from vision_zoo.experiments.report.claims.checks import Rate, Timing
from vision_zoo.experiments.report.claims.grid import BestOfGrid
from vision_zoo.experiments.report.claims.measures import (
    FIRST_EPOCH,
    RISES,
    TOTAL_LOSS,
    best_loss_is_not_best_accuracy,
)
from vision_zoo.experiments.report.claims.verdict import Reading, judge
from vision_zoo.recipes import find_recipe
from vision_zoo.recipes.grids import GRIDS

_HERE = Environment(cpu="A processor", cores=2, memory_gib=8, machine="", system="", python="3.12")


def _curve(*records: tuple[float, float, float]) -> list[EpochRecord]:
    return [
        EpochRecord(
            epoch=epoch,
            train_loss=loss,
            train_accuracy=0.5,
            validation_loss=validation,
            validation_accuracy=accuracy,
            test_accuracy=accuracy,
            steps=epoch,
            seconds=epoch,
        )
        for epoch, (loss, validation, accuracy) in enumerate(records, start=1)
    ]


def test_measures_of_a_run() -> None:
    recipe = find_recipe(SECOND)
    (run,) = measured(
        SECOND, [0.98], train_loss=0.03, history=_curve((0.5, 0.3, 0.9), (0.6, 0.2, 0.91), (0.4, 0.25, 0.92))
    ).runs
    assert RISES.of(recipe, run) == 1
    assert FIRST_EPOCH.of(recipe, run) == 90
    total = TOTAL_LOSS.of(recipe, run)
    assert total is not None
    assert np.exp(total) == pytest.approx(0.03 * 391)  # 50,000 images in batches of 128
    assert best_loss_is_not_best_accuracy(run) is True
    assert FIRST_EPOCH.of(recipe, measured(SECOND, [0.98]).runs[0]) is None


def test_a_rate_over_runs_is_told_by_its_exact_interval() -> None:
    check = Rate((SECOND,), best_loss_is_not_best_accuracy, "it is so")
    so, not_so = _curve((0.5, 0.3, 0.9), (0.4, 0.4, 0.91)), _curve((0.5, 0.3, 0.9), (0.4, 0.4, 0.89))
    assert verdict_of(check, measured(SECOND, [0.9863] * 6, history=so)) == "shown"  # 0.025^(1/6) is 0.54
    assert verdict_of(check, measured(SECOND, [0.9863] * 5, history=so)) == "inconclusive"  # 0.48
    assert verdict_of(check, measured(SECOND, [0.9863] * 6, history=not_so)) == "refuted"
    finding = judge(Reading("", (check,)), evidence_of(measured(SECOND, [0.9863] * 5, history=so)))
    assert finding.needs == ("6 runs in all",)


def _timed(**seconds: list[float]) -> TimingResult:
    return TimingResult(
        environment=_HERE,
        images=1,
        seconds={"training": {name.replace("_mnist", "-mnist"): v for name, v in seconds.items()}},
    )


def test_times_are_told_by_rounds_in_turn_alone() -> None:
    check = Timing("training", "simple_cnn-mnist", "patch_lstm-mnist")
    cnn = measured("simple_cnn-mnist", [0.99] * 5, train_seconds=10.0)
    finding = judge(Reading("", (check,)), evidence_of(cnn))
    assert finding.needs == ("an interleaved timing run of training",)
    slow = [1.0, 2.0, 1.1, 1.6, 1.2]  # what slows a round slows both
    more, less = [1.1 * value for value in slow], [0.9 * value for value in slow]
    mixed = [1.1, 1.9, 1.3, 1.5, 1.2]

    def told(own: list[float], other: list[float]) -> str:
        timing = _timed(simple_cnn_mnist=own, patch_lstm_mnist=other)
        return verdict_of(check, cnn, timings=[timing])

    assert told(slow, more) == "shown"
    assert told(slow, less) == "refuted"
    assert told(slow, mixed) == "inconclusive"
    assert told(slow[:4], more[:4]) == "cannot be told yet"
    timing = _timed(simple_cnn_mnist=slow, patch_lstm_mnist=more)
    figures = check.outcome(evidence_of(cnn, timings=[timing])).figures
    assert "ratio 1.10" in figures
    assert "5 alternating rounds of 1 images, A processor, 2 cores" in figures


def _grid(best: float, other: float, seeds: int) -> list[GridResult]:
    grid = GRIDS[SECOND]
    points = [
        GridPoint(
            batch_size=size,
            learning_rate=rate,
            seed=seed,
            validation_accuracy=(best if (size, rate) == (128, 0.001) else other) + 0.0001 * (seed - 2),
            run="",
        )
        for size, rate in grid.reported
        for seed in range(seeds)
    ]
    return [
        GridResult(
            recipe=SECOND,
            settings=find_recipe(SECOND).settings(),
            seed=0,
            data=DataUsed(variant="original", sha256=""),
            environment=_HERE,
            values=grid.values,
            points=points,
            chosen={},
        )
    ]


@pytest.mark.parametrize(
    ("best", "other", "seeds", "verdict"),
    [
        (0.9863, 0.9862, 5, "shown"),
        (0.9863, 0.9873, 5, "shown"),  # better, but by less than the margin
        (0.9863, 0.9903, 5, "refuted"),
        (0.9863, 0.9862, 4, "cannot be told yet"),
    ],
)
def test_the_best_point_of_a_grid_is_not_beaten_by_more_than_the_margin(
    best: float, other: float, seeds: int, verdict: str
) -> None:
    cnn = measured(SECOND, [0.9863] * 5)
    assert verdict_of(BestOfGrid(SECOND), cnn, grids=_grid(best, other, seeds)) == verdict
