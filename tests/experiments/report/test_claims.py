"""The rules that decide the reports' claims, on measurements made up for them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vision_zoo.core.environment import Environment
from vision_zoo.core.estimates import Band
from vision_zoo.core.results import (
    DataUsed,
    EpochRecord,
    GridPoint,
    GridResult,
    SeedResult,
    TimingResult,
)
from vision_zoo.experiments.predictions import Predictions
from vision_zoo.experiments.report.claims.checks import Check, Count, Rate, Timing
from vision_zoo.experiments.report.claims.difference import Difference
from vision_zoo.experiments.report.claims.evidence import Evidence, Measured
from vision_zoo.experiments.report.claims.grid import BestOfGrid
from vision_zoo.experiments.report.claims.measures import (
    FIRST_EPOCH,
    RISES,
    TEST_ACCURACY,
    TOTAL_LOSS,
    best_loss_is_not_best_accuracy,
)
from vision_zoo.experiments.report.claims.page import CLAIMS, text
from vision_zoo.experiments.report.claims.verdict import Claim, Reading, judge, verdict_on
from vision_zoo.experiments.report.verdicts import row_verdict
from vision_zoo.recipes import RECIPES, find_recipe
from vision_zoo.recipes.grids import GRIDS

_IMAGES = 10_000
_FIRST, _SECOND = "row_lstm-mnist", "small_cnn-mnist"
_HERE = Environment(cpu="A processor", cores=2, memory_gib=8, machine="", system="", python="3.12")
_BETTER = Difference(TEST_ACCURACY, _FIRST, _SECOND, Band(low=0.0))
_MATCHES = Difference(TEST_ACCURACY, _FIRST, _SECOND, Band(low=-0.3, equivalence=True))


def _measured(
    recipe: str, accuracies: Sequence[float], *, images: int = _IMAGES, shift: int = 0, **run: Any
) -> Measured:
    """Runs with these accuracies; the images that are wrong lie next to each other, from `shift` on."""
    labels = np.zeros(images, dtype=np.int64)
    by_seed, runs = {}, []
    given = {**dict.fromkeys(SeedResult.__dataclass_fields__), "steps": 100, "history": [], **run}
    for seed, accuracy in enumerate(accuracies):
        by_seed[seed] = labels.copy()
        by_seed[seed][shift : shift + round((1 - accuracy) * images)] = 1
        runs.append(SeedResult(**{**given, "seed": seed, "test_accuracy": accuracy}))
    found = find_recipe(recipe)
    row = row_verdict(found, accuracies, "original")
    return Measured(found, "A processor", runs, 5, row, Predictions(labels, by_seed))


def _evidence(*measured: Measured, **others: Any) -> Evidence:
    given = {"macs": {}, "grids": [], "timings": [], **others}
    return Evidence({entry.recipe.name: entry for entry in measured}, **given)


def _verdict(check: Check, *measured: Measured, **others: Any) -> str:
    return judge(Reading("as it is", (check,)), _evidence(*measured, **others)).verdict


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_a_claim_is_about_recipes_that_there_are(claim: Claim) -> None:
    names = [name for reading in claim.readings for name in reading.recipes]
    assert set(names) <= set(RECIPES)
    for name in names:
        recipe = RECIPES[name]
        origin = RECIPES[recipe.companion_of] if recipe.companion_of else recipe
        assert origin.report == claim.report
    assert all(reading.checks or reading.lacks for reading in claim.readings)


def test_every_report_has_its_claims() -> None:
    assert len({claim.name for claim in CLAIMS}) == len(CLAIMS)
    counts = {report: sum(claim.report == report for claim in CLAIMS) for report in "ABCDE"}
    assert counts == {"A": 9, "B": 4, "C": 9, "D": 7, "E": 4}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_of_what_was_not_measured_only_sizes_can_be_told(claim: Claim) -> None:
    finding, _ = verdict_on(claim, _evidence())
    if claim.name == "mobilenet-no-gain-size":  # parameters are known
        assert finding.verdict == "refuted"
    else:
        assert finding.verdict == "cannot be told yet"
        assert finding.needs


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ([0.988, 0.9885, 0.989, 0.9885, 0.988], [0.985, 0.9855, 0.986, 0.9855, 0.985], "shown"),
        ([0.985, 0.9855, 0.986, 0.9855, 0.985], [0.988, 0.9885, 0.989, 0.9885, 0.988], "refuted"),
        ([0.987, 0.989, 0.991, 0.985, 0.988], [0.986, 0.988, 0.991, 0.985, 0.986], "not decided"),  # of runs
        ([0.9870] * 5, [0.9869] * 5, "not decided"),  # one image more, in every run
        ([0.988, 0.9885, 0.989, 0.9885], [0.985, 0.9855, 0.986, 0.9855, 0.985], "cannot be told yet"),
    ],
)
def test_better_is_told_by_runs_and_by_images(first: list[float], second: list[float], verdict: str) -> None:
    assert _verdict(_BETTER, _measured(_FIRST, first), _measured(_SECOND, second)) == verdict


def test_a_match_is_shown_by_its_interval_and_never_by_the_lack_of_a_difference() -> None:
    second = _measured(_SECOND, [0.9889, 0.9891, 0.9893, 0.989, 0.9892])
    near = _measured(_FIRST, [0.9888, 0.989, 0.9892, 0.9889, 0.9891])
    noisy = _measured(_FIRST, [0.9788, 0.989, 0.9992, 0.9789, 0.9991])  # no significant difference either
    worse = _measured(_FIRST, [0.9848, 0.985, 0.9852, 0.9849, 0.9851])
    assert _verdict(_MATCHES, near, second) == "shown"
    assert _verdict(_MATCHES, noisy, second) == "not decided"
    assert _verdict(_MATCHES, worse, second) == "refuted"


def test_few_test_images_leave_a_claim_open_that_runs_would_decide() -> None:
    first = _measured(_FIRST, [0.99] * 5, images=200, shift=100)
    second = _measured(_SECOND, [0.985] * 5, images=200)
    finding = judge(Reading("as it is", (_BETTER,)), _evidence(first, second))
    assert finding.verdict == "not decided"
    # half a point, of five images on which they disagree: 1.96 x sqrt(5) / 200 is 2.2 points, 4.4 times as many
    assert finding.needs in {(f"{times} times as many test images",) for times in range(17, 23)}


def test_without_predictions_on_the_same_images_the_accuracy_tells_nothing() -> None:
    first, second = _measured(_FIRST, [0.989] * 5), _measured(_SECOND, [0.986] * 5, images=100)
    finding = judge(Reading("as it is", (_BETTER,)), _evidence(first, second))
    assert finding.verdict == "cannot be told yet"
    assert finding.needs == ("the predictions of both on the same test images",)


def test_an_open_claim_says_how_many_runs_it_takes() -> None:
    first = _measured(_FIRST, [0.988, 0.99, 0.986, 0.989, 0.987])
    second = _measured(_SECOND, [0.986, 0.988, 0.984, 0.987, 0.985])
    # 0.2 points apart, both with a deviation of 0.158: t of 12 is 2.179, x 0.158 x sqrt(2 / 7) = 0.184
    finding = judge(Reading("as it is", (_BETTER,)), _evidence(first, second))
    assert finding.verdict == "not decided"
    assert finding.needs == (f"2 more runs of `{_FIRST}`", f"2 more runs of `{_SECOND}`")
    missing = judge(Reading("as it is", (_BETTER,)), _evidence(first))
    assert missing.needs == (f"5 more runs of `{_SECOND}`",)


def test_mcnemar_s_test_is_of_every_seed_and_decides_nothing() -> None:
    first = _measured(_FIRST, [0.99, 0.985], shift=5000)
    second = _measured(_SECOND, [0.98, 0.984, 0.985])
    outcome = _BETTER.outcome(_evidence(first, second))
    assert "McNemar's test tells the runs apart in 1 of 2 pairs of the same seed." in outcome.figures
    assert outcome.shown_p is None


def test_there_is_no_verdict_while_a_recipe_falls_short_of_its_report() -> None:
    short = _measured(_FIRST, [0.96, 0.9601, 0.9602, 0.9601, 0.9602])
    second = _measured(_SECOND, [0.9862, 0.9863, 0.9864, 0.9863, 0.9864])
    text_of = Reading("text", (_BETTER,))
    finding = judge(text_of, _evidence(short, second))
    assert finding.verdict == "cannot be told yet"
    assert finding.needs == (f"a reading in which `{_FIRST}` reaches its report",)
    # another reading may tell, and is named
    size = Reading(
        "figures", (Count("parameters", "mobilenet-mnist", "optimized_cnn-mnist", Band(0, 1), "fewer"),)
    )
    counts, findings = verdict_on(Claim("x", "B", "x", (text_of, size)), _evidence(short, second))
    assert (counts.reading.name, counts.verdict) == ("figures", "shown")
    assert [one.verdict for one in findings] == ["cannot be told yet", "shown"]


def test_a_refutation_by_one_of_several_parts_is_corrected_for_their_number() -> None:
    # Two-sided p of Welch's test between 2.5 % and 5 %.
    first = _measured(_FIRST, [0.9847, 0.9851, 0.9855, 0.9859, 0.9863])
    second = _measured(_SECOND, [0.9857, 0.9861, 0.9865, 0.9869, 0.9873])
    alone = _BETTER.outcome(_evidence(first, second))
    assert alone.refuted_p is not None
    assert 0.025 < alone.refuted_p < 0.05
    same = Count("parameters", "mobilenet-mnist", "optimized_cnn-mnist", Band(0, 1), "fewer")
    evidence = _evidence(first, second)
    assert judge(Reading("one", (_BETTER,)), evidence).verdict == "refuted"
    assert judge(Reading("two", (_BETTER, same)), evidence).verdict == "not decided"


def test_two_recipes_that_are_the_same_are_seldom_told_apart() -> None:
    random = np.random.default_rng(0)
    told = 0
    for _ in range(300):
        hard = random.random(2000) < 0.3
        sides = []
        for name in (_FIRST, _SECOND):
            runs = _measured(name, [0.98] * 5, images=2000)
            by_seed = {seed: (hard & (random.random(2000) < 0.07)).astype(np.int64) for seed in range(5)}
            predictions = Predictions(np.zeros(2000, dtype=np.int64), by_seed)
            scored = [
                SeedResult(**{**vars(run), "test_accuracy": float((by_seed[run.seed] == 0).mean())})
                for run in runs.runs
            ]
            sides.append(Measured(runs.recipe, "", scored, 5, None, predictions))
        told += _verdict(_BETTER, *sides) in {"shown", "refuted"}
    assert told / 300 < 0.09  # 5 %, and three standard errors


def test_runs_that_never_learnt_are_counted_and_left_out_of_the_difference() -> None:
    names = ("bn_cnn-fashion_mnist", "bn_cnn_without_bn-fashion_mnist")
    check = Difference(TEST_ACCURACY, *names, Band(5.4, 7.4, equivalence=True), learnt=True)
    learnt = [0.868, 0.869, 0.870, 0.869, 0.868, 0.870, 0.869]
    evidence = _evidence(
        _measured(names[0], [0.933, 0.932, 0.934, 0.933, 0.933]),
        _measured(names[1], [*learnt, 0.1, 0.1, 0.1]),
    )
    finding = judge(Reading("text", (check,)), evidence)
    assert finding.verdict == "shown"
    figures = finding.outcomes[0].figures
    assert "`bn_cnn_without_bn-fashion_mnist` 86.90% (n = 7, A processor)" in figures
    # Clopper and Pearson: 3 of 10
    assert "3 of 10 runs of `bn_cnn_without_bn-fashion_mnist` never learnt" in figures
    assert "7% to 65%" in figures


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
    recipe = find_recipe(_SECOND)
    (run,) = _measured(
        _SECOND, [0.98], train_loss=0.03, history=_curve((0.5, 0.3, 0.9), (0.6, 0.2, 0.91), (0.4, 0.25, 0.92))
    ).runs
    assert RISES.of(recipe, run) == 1
    assert FIRST_EPOCH.of(recipe, run) == 90
    total = TOTAL_LOSS.of(recipe, run)
    assert total is not None
    assert np.exp(total) == pytest.approx(0.03 * 391)  # 50,000 images in batches of 128
    assert best_loss_is_not_best_accuracy(run) is True
    assert FIRST_EPOCH.of(recipe, _measured(_SECOND, [0.98]).runs[0]) is None


def test_a_rate_over_runs_is_told_by_its_exact_interval() -> None:
    check = Rate((_SECOND,), best_loss_is_not_best_accuracy, "it is so")
    so, not_so = _curve((0.5, 0.3, 0.9), (0.4, 0.4, 0.91)), _curve((0.5, 0.3, 0.9), (0.4, 0.4, 0.89))
    assert _verdict(check, _measured(_SECOND, [0.9863] * 6, history=so)) == "shown"  # 0.025^(1/6) is 0.54
    assert _verdict(check, _measured(_SECOND, [0.9863] * 5, history=so)) == "not decided"  # 0.48
    assert _verdict(check, _measured(_SECOND, [0.9863] * 6, history=not_so)) == "refuted"
    finding = judge(Reading("", (check,)), _evidence(_measured(_SECOND, [0.9863] * 5, history=so)))
    assert finding.needs == ("6 runs in all",)


def _timed(**seconds: list[float]) -> TimingResult:
    return TimingResult(
        environment=_HERE,
        images=1,
        seconds={"training": {name.replace("_mnist", "-mnist"): v for name, v in seconds.items()}},
    )


def test_times_are_told_by_rounds_in_turn_alone() -> None:
    check = Timing("training", "simple_cnn-mnist", "patch_lstm-mnist")
    measured = _measured("simple_cnn-mnist", [0.99] * 5, train_seconds=10.0)
    finding = judge(Reading("", (check,)), _evidence(measured))
    assert finding.needs == ("an interleaved timing run of training",)
    slow = [1.0, 2.0, 1.1, 1.6, 1.2]  # what slows a round slows both
    more, less = [1.1 * value for value in slow], [0.9 * value for value in slow]
    mixed = [1.1, 1.9, 1.3, 1.5, 1.2]

    def told(own: list[float], other: list[float]) -> str:
        timing = _timed(simple_cnn_mnist=own, patch_lstm_mnist=other)
        return _verdict(check, measured, timings=[timing])

    assert told(slow, more) == "shown"
    assert told(slow, less) == "refuted"
    assert told(slow, mixed) == "not decided"
    assert told(slow[:4], more[:4]) == "cannot be told yet"
    timing = _timed(simple_cnn_mnist=slow, patch_lstm_mnist=more)
    figures = check.outcome(_evidence(measured, timings=[timing])).figures
    assert "1.10 times" in figures
    assert "5 rounds in turn of 1 images, A processor, 2 cores" in figures


def _grid(best: float, other: float, seeds: int) -> list[GridResult]:
    grid = GRIDS[_SECOND]
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
            recipe=_SECOND,
            settings=find_recipe(_SECOND).settings(),
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
    measured = _measured(_SECOND, [0.9863] * 5)
    assert _verdict(BestOfGrid(_SECOND), measured, grids=_grid(best, other, seeds)) == verdict


def test_the_page_has_a_row_and_a_paragraph_for_every_claim(tmp_path: Path) -> None:
    page = text(tmp_path)
    for claim in CLAIMS:
        assert f"](#{claim.name}) | **" in page
        assert f'<a id="{claim.name}"></a>\n\n## {claim.report}: {claim.text}' in page
