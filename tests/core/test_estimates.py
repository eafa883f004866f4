"""Against values worked out by hand or printed elsewhere, and by simulation where a rate is promised."""

import math

import numpy as np
import pytest
from scipy.special import comb

from vision_zoo.core.estimates import (
    Band,
    Bootstrapped,
    estimate_difference,
    estimate_mean,
    estimate_over_images,
    p_inside,
    p_outside,
    rate_interval,
    runs_needed,
)

_BETTER = Band(low=0.0)
_MATCHES = Band(low=-0.3, equivalence=True)


def test_the_difference_of_two_means_is_welch_s() -> None:
    # Welch's example as NIST prints it for two samples of unequal size and variance.
    first, second = [20.0, 22.0, 21.0, 24.0], [25.0, 31.0, 28.0]
    found = estimate_difference(first, second)
    one, other = 35 / 12 / 4, 9 / 3  # variances of the means
    assert found.value == pytest.approx(21.75 - 28)
    assert found.error == pytest.approx(math.sqrt(one + other))
    assert found.freedom == pytest.approx((one + other) ** 2 / (one**2 / 3 + other**2 / 2))


def test_student_s_quantiles_are_the_printed_ones() -> None:
    found = estimate_mean([1.0, 2.0, 3.0])
    error = 1 / math.sqrt(3)
    assert found.interval(0.95).high - 2 == pytest.approx(4.303 * error, abs=1e-3)
    assert found.interval(0.90).high - 2 == pytest.approx(2.920 * error, abs=1e-3)
    assert found.p_above(2 - 2.920 * error) == pytest.approx(0.05, abs=1e-4)
    assert found.p_below(2 + 4.303 * error) == pytest.approx(0.025, abs=1e-4)


def test_values_that_are_all_the_same_leave_no_doubt() -> None:
    found = estimate_difference([0.9, 0.9], [0.8, 0.8])
    assert p_inside([found], _BETTER) == 0.0
    assert p_outside([found], _BETTER) == 1.0
    assert p_inside([estimate_mean([0.0, 0.0])], _BETTER) == 1.0


def test_the_interval_and_the_p_value_decide_the_same() -> None:
    random = np.random.default_rng(1)
    for band in (_BETTER, _MATCHES, Band(-1, 1), Band(-1, 1, equivalence=True)):
        for _ in range(100):
            found = estimate_difference(list(random.normal(0.5, 0.8, 4)), list(random.normal(0, 0.5, 3)))
            interval = found.interval(band.confidence)
            assert (p_inside([found], band) < 0.05) == (interval.low > band.low and interval.high < band.high)
            assert (p_outside([found], band) < 0.05) == (interval.high < band.low or interval.low > band.high)


def test_every_estimate_has_to_agree() -> None:
    sure, unsure = estimate_mean([0.9, 1.0, 1.1]), estimate_mean([-2.0, 1.0, 4.0])
    opposite = estimate_mean([-0.9, -1.0, -1.1])
    assert p_inside([sure], _BETTER) < 0.05 < p_inside([sure, unsure], _BETTER)
    assert p_outside([opposite], _BETTER) < 0.05 < p_outside([opposite, sure], _BETTER)
    band = Band(-0.5, 0.5)
    assert p_outside([sure, opposite], band) > 0.05  # out of it, but on different sides


@pytest.mark.parametrize("runs", [3, 5])
@pytest.mark.parametrize("deviations", [(0.2, 0.2), (0.1, 0.4)])
def test_a_match_is_seldom_shown_of_what_is_worse_by_the_margin(
    runs: int, deviations: tuple[float, float]
) -> None:
    random = np.random.default_rng(2)
    shown = sum(
        p_inside(
            [
                estimate_difference(
                    list(random.normal(98.7, deviations[0], runs)),
                    list(random.normal(99, deviations[1], runs)),
                )
            ],
            _MATCHES,
        )
        < 0.05
        for _ in range(2000)
    )
    assert shown / 2000 < 0.065  # 5 %, and three standard errors


def test_a_difference_is_seldom_shown_between_runs_of_the_same_recipe() -> None:
    random = np.random.default_rng(3)
    found = [
        estimate_difference(list(random.normal(99, 0.2, 3)), list(random.normal(99, 0.2, 3)))
        for _ in range(2000)
    ]
    assert sum(p_inside([one], _BETTER) < 0.05 for one in found) / 2000 < 0.04  # 2.5 % each way
    assert sum(p_outside([one], _BETTER) < 0.05 for one in found) / 2000 < 0.04


def test_resampled_images_cover_the_true_difference_as_often_as_promised() -> None:
    random = np.random.default_rng(4)
    covered = 0
    for _ in range(200):
        hard = random.random(400) ** 6  # the same images are hard for both
        first = random.random((3, 400)) > 0.8 * hard
        second = random.random((2, 400)) > hard
        interval = estimate_over_images(first, second).interval(0.95)
        covered += interval.low <= 0.2 / 7 <= interval.high  # the mean of x^6 is 1/7
    assert 0.90 < covered / 200 < 0.99


def test_images_that_all_agree_make_no_interval() -> None:
    right = np.ones((2, 50), dtype=bool)
    found = estimate_over_images(right, right)
    assert (found.value, found.interval(0.95).low, found.interval(0.95).high) == (0.0, 0.0, 0.0)
    assert found.p_above(0.0) == found.p_below(0.0) == 1.0


def test_a_bootstrap_counts_the_replicates_beyond_an_edge() -> None:
    found = Bootstrapped(0.0, np.linspace(-1, 1, 201))
    assert found.p_above(-0.9) == pytest.approx(11 / 201)
    assert found.p_below(0.9) == pytest.approx(11 / 201)


def test_the_interval_of_a_rate_is_clopper_and_pearson_s() -> None:
    found = rate_interval(4, 20)  # Clopper and Pearson 1934
    assert (round(found.low, 3), round(found.high, 3)) == (0.057, 0.437)
    none = rate_interval(0, 10)
    assert (none.low, round(none.high, 4)) == (0.0, 0.3085)  # 1 - 0.025^(1/10)


@pytest.mark.parametrize("trials", [5, 10])
def test_the_interval_of_a_rate_covers_at_least_as_often_as_promised(trials: int) -> None:
    intervals = [rate_interval(count, trials) for count in range(trials + 1)]
    for rate in np.linspace(0.01, 0.99, 99):
        inside = [count for count, one in enumerate(intervals) if one.low <= rate <= one.high]
        chances = [comb(trials, count) * rate**count * (1 - rate) ** (trials - count) for count in inside]
        assert sum(chances) >= 0.95


def test_the_runs_that_it_takes_are_those_after_which_the_interval_leaves_the_edge() -> None:
    # One side: t of n - 1 degrees of freedom times the deviation over the root of n.
    assert runs_needed(0.0, [0.01], Band(-0.1, 0.1, equivalence=True), least=3) == 5  # 2.132 / 2.236 < 1
    assert runs_needed(0.0, [0.01], Band(-0.1, 0.1, equivalence=True), least=7) == 7
    # Two sides: Student's with 2 (n - 1) degrees, 95 %.
    assert runs_needed(0.1, [0.01, 0.01], _BETTER, least=2) == 9  # 2.120 x sqrt(2 / 9) < 1
    assert runs_needed(0.0, [0.01], _BETTER, least=3) is None
    assert runs_needed(0.1, [0.0, 0.0], _BETTER, least=3) == 3
