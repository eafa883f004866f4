"""The rules that decide the reports' claims, on measurements made up for them."""

from pathlib import Path

import numpy as np
import pytest

from tests.experiments.report.evidence import FIRST, SECOND, evidence_of, measured, verdict_of
from vision_zoo.core.estimates import Band
from vision_zoo.core.results import SeedResult
from vision_zoo.experiments.predictions import Predictions
from vision_zoo.experiments.report.claims.checks import Count
from vision_zoo.experiments.report.claims.difference import Difference
from vision_zoo.experiments.report.claims.evidence import Measured
from vision_zoo.experiments.report.claims.measures import TEST_ACCURACY
from vision_zoo.experiments.report.claims.page import CLAIMS, text
from vision_zoo.experiments.report.claims.verdict import Claim, Reading, judge, verdict_on
from vision_zoo.experiments.report.claims.wording import better
from vision_zoo.recipes import RECIPES

_BETTER = Difference(TEST_ACCURACY, FIRST, SECOND, Band(low=0.0))
_MATCHES = Difference(TEST_ACCURACY, FIRST, SECOND, Band(low=-0.3, equivalence=True))


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
    finding, _ = verdict_on(claim, evidence_of())
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
        ([0.987, 0.989, 0.991, 0.985, 0.988], [0.986, 0.988, 0.991, 0.985, 0.986], "inconclusive"),  # of runs
        ([0.9870] * 5, [0.9869] * 5, "inconclusive"),  # one image more, in every run
        ([0.988, 0.9885, 0.989, 0.9885], [0.985, 0.9855, 0.986, 0.9855, 0.985], "cannot be told yet"),
    ],
)
def test_better_is_told_by_runs_and_by_images(first: list[float], second: list[float], verdict: str) -> None:
    assert verdict_of(_BETTER, measured(FIRST, first), measured(SECOND, second)) == verdict


def test_a_match_is_shown_by_its_interval_and_never_by_the_lack_of_a_difference() -> None:
    second = measured(SECOND, [0.9889, 0.9891, 0.9893, 0.989, 0.9892])
    near = measured(FIRST, [0.9888, 0.989, 0.9892, 0.9889, 0.9891])
    noisy = measured(FIRST, [0.9788, 0.989, 0.9992, 0.9789, 0.9991])  # no significant difference either
    worse = measured(FIRST, [0.9848, 0.985, 0.9852, 0.9849, 0.9851])
    assert verdict_of(_MATCHES, near, second) == "shown"
    assert verdict_of(_MATCHES, noisy, second) == "inconclusive"
    assert verdict_of(_MATCHES, worse, second) == "refuted"


def test_few_test_images_leave_a_claim_open_that_runs_would_decide() -> None:
    first = measured(FIRST, [0.99] * 5, images=200, shift=100)
    second = measured(SECOND, [0.985] * 5, images=200)
    finding = judge(Reading("as it is", (_BETTER,)), evidence_of(first, second))
    assert finding.verdict == "inconclusive"
    # half a point, of five images on which they disagree: 1.96 x sqrt(5) / 200 is 2.2 points, 4.4 times as many
    assert finding.needs in {(f"{times} times as many test images",) for times in range(17, 23)}


def test_without_predictions_on_the_same_images_the_accuracy_tells_nothing() -> None:
    first, second = measured(FIRST, [0.989] * 5), measured(SECOND, [0.986] * 5, images=100)
    finding = judge(Reading("as it is", (_BETTER,)), evidence_of(first, second))
    assert finding.verdict == "cannot be told yet"
    assert finding.needs == ("the predictions of both on the same test images",)


def test_an_open_claim_says_how_many_runs_it_takes() -> None:
    first = measured(FIRST, [0.988, 0.99, 0.986, 0.989, 0.987])
    second = measured(SECOND, [0.986, 0.988, 0.984, 0.987, 0.985])
    # 0.2 points apart, both with a deviation of 0.158: t of 12 is 2.179, x 0.158 x sqrt(2 / 7) = 0.184
    finding = judge(Reading("as it is", (_BETTER,)), evidence_of(first, second))
    assert finding.verdict == "inconclusive"
    assert finding.needs == (f"2 more runs of `{FIRST}`", f"2 more runs of `{SECOND}`")
    missing = judge(Reading("as it is", (_BETTER,)), evidence_of(first))
    assert missing.needs == (f"5 more runs of `{SECOND}`",)


def test_mcnemar_s_test_is_of_every_seed_and_decides_nothing() -> None:
    first = measured(FIRST, [0.99, 0.985], shift=5000)
    second = measured(SECOND, [0.98, 0.984, 0.985])
    outcome = _BETTER.outcome(evidence_of(first, second))
    assert "McNemar's test is significant for 1 of 2 pairs of runs with the same seed." in outcome.figures
    assert outcome.shown_p is None


def test_there_is_no_verdict_while_a_recipe_falls_short_of_its_report() -> None:
    short = measured(FIRST, [0.96, 0.9601, 0.9602, 0.9601, 0.9602])
    second = measured(SECOND, [0.9862, 0.9863, 0.9864, 0.9863, 0.9864])
    text_of = Reading("text", (_BETTER,))
    finding = judge(text_of, evidence_of(short, second))
    assert finding.verdict == "cannot be told yet"
    assert finding.needs == (f"a reading in which `{FIRST}` does not fall short of its report",)
    # another reading may tell, and is named
    size = Reading(
        "figures", (Count("parameters", "mobilenet-mnist", "optimized_cnn-mnist", Band(0, 1), "fewer"),)
    )
    counts, findings = verdict_on(Claim("x", "B", "x", (text_of, size)), evidence_of(short, second))
    assert (counts.reading.name, counts.verdict) == ("figures", "shown")
    assert [one.verdict for one in findings] == ["cannot be told yet", "shown"]


def test_without_a_verdict_the_reading_counts_that_more_runs_may_decide() -> None:
    short = measured(FIRST, [0.96, 0.9601, 0.9602, 0.9601, 0.9602])
    few = measured(SECOND, [0.9862, 0.9863])
    texts = Reading("text", (_BETTER,)), Reading("figures", better(SECOND, SECOND))
    counts, _ = verdict_on(Claim("x", "B", "x", texts), evidence_of(short, few))
    assert counts.reading.name == "figures"
    assert counts.needs == (f"3 more runs of `{SECOND}`",)


def test_what_does_not_depend_on_training_is_told_while_a_recipe_falls_short() -> None:
    short = measured(FIRST, [0.96, 0.9601, 0.9602, 0.9601, 0.9602])
    size = Count("parameters", FIRST, "optimized_cnn-mnist", Band(0, 1), "fewer")
    steps = Count("steps", FIRST, FIRST, Band(0, 1), "fewer")
    assert judge(Reading("text", (size,)), evidence_of(short)).verdict == "shown"
    assert judge(Reading("text", (size, steps)), evidence_of(short)).verdict == "cannot be told yet"


def test_a_refutation_by_one_of_several_parts_is_corrected_for_their_number() -> None:
    # Two-sided p of Welch's test between 2.5 % and 5 %.
    first = measured(FIRST, [0.9847, 0.9851, 0.9855, 0.9859, 0.9863])
    second = measured(SECOND, [0.9857, 0.9861, 0.9865, 0.9869, 0.9873])
    alone = _BETTER.outcome(evidence_of(first, second))
    assert alone.refuted_p is not None
    assert 0.025 < alone.refuted_p < 0.05
    same = Count("parameters", "mobilenet-mnist", "optimized_cnn-mnist", Band(0, 1), "fewer")
    evidence = evidence_of(first, second)
    assert judge(Reading("one", (_BETTER,)), evidence).verdict == "refuted"
    assert judge(Reading("two", (_BETTER, same)), evidence).verdict == "inconclusive"


def test_two_recipes_that_are_the_same_are_seldom_told_apart() -> None:
    random = np.random.default_rng(0)
    told = 0
    for _ in range(300):
        hard = random.random(2000) < 0.3
        sides = []
        for name in (FIRST, SECOND):
            runs = measured(name, [0.98] * 5, images=2000)
            by_seed = {seed: (hard & (random.random(2000) < 0.07)).astype(np.int64) for seed in range(5)}
            predictions = Predictions(np.zeros(2000, dtype=np.int64), by_seed)
            scored = [
                SeedResult(**{**vars(run), "test_accuracy": float((by_seed[run.seed] == 0).mean())})
                for run in runs.runs
            ]
            sides.append(Measured(runs.recipe, "", scored, 5, None, predictions))
        told += verdict_of(_BETTER, *sides) in {"shown", "refuted"}
    assert told / 300 < 0.09  # 5 %, and three standard errors


def test_runs_that_never_learnt_are_counted_and_left_out_of_the_difference() -> None:
    names = ("bn_cnn-fashion_mnist", "bn_cnn_without_bn-fashion_mnist")
    check = Difference(TEST_ACCURACY, *names, Band(5.4, 7.4, equivalence=True), learnt=True)
    learnt = [0.868, 0.869, 0.870, 0.869, 0.868, 0.870, 0.869]
    evidence = evidence_of(
        measured(names[0], [0.933, 0.932, 0.934, 0.933, 0.933]),
        measured(names[1], [*learnt, 0.1, 0.1, 0.1]),
    )
    finding = judge(Reading("text", (check,)), evidence)
    assert finding.verdict == "shown"
    figures = finding.outcomes[0].figures
    assert "`bn_cnn_without_bn-fashion_mnist` 86.90% (n = 7, A processor)" in figures
    # Clopper and Pearson: 3 of 10
    assert "3 of 10 runs of `bn_cnn_without_bn-fashion_mnist` never learnt" in figures
    assert "7% to 65%" in figures


def test_the_page_has_a_row_and_a_paragraph_for_every_claim(tmp_path: Path) -> None:
    page = text(tmp_path)
    for claim in CLAIMS:
        assert f"](#{claim.name}) | **" in page
        assert f'<a id="{claim.name}"></a>\n\n## {claim.report}: {claim.text}' in page
