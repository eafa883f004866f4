"""Against values worked out by hand or printed elsewhere."""

import math

import numpy as np
import pytest

from vision_zoo.core.statistics import (
    accuracy_by_class,
    accuracy_interval,
    calibration_error,
    holm,
    mcnemar,
    mean_interval,
)


def test_the_interval_of_an_accuracy_is_wilson_s() -> None:
    found = accuracy_interval(81, 263)  # Newcombe 1998, table I, method 3
    assert (round(found.low, 4), round(found.high, 4)) == (0.2553, 0.3662)
    perfect = accuracy_interval(10, 10)
    assert perfect.high == 1.0
    assert 0.7 < perfect.low < 0.75  # ten of ten is not certainty


def test_the_interval_over_seeds_is_student_s() -> None:
    found = mean_interval([0.98, 0.99, 1.00])
    assert found is not None
    reach = 4.302653 * 0.01 / math.sqrt(3)  # t of two degrees of freedom
    assert found.low == pytest.approx(0.99 - reach, abs=1e-6)
    assert found.high == pytest.approx(0.99 + reach, abs=1e-6)
    assert mean_interval([0.98]) is None
    assert found.high > 1
    assert (found.clipped().low, found.clipped().high) == (found.low, 1.0)


def test_mcnemar_looks_at_the_images_on_which_models_disagree() -> None:
    first = np.array([True] * 90 + [False] * 10)
    second = first.copy()
    assert mcnemar(first, second).p_value == 1.0
    second[:8] = False  # eight that the first alone gets right
    second[99] = True
    found = mcnemar(first, second)
    assert (found.only_first, found.only_second) == (8, 1)
    assert found.p_value == pytest.approx(2 * (1 + 9) / 2**9)  # two-sided binomial, 9 tosses, at most 1
    with pytest.raises(ValueError, match="not the same images"):
        mcnemar(first, second[:-1])


def test_holm_corrects_in_steps_and_keeps_the_order() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_calibration_is_perfect_where_confidence_is_accuracy() -> None:
    confidences = np.repeat([0.75, 0.25], 100)
    right = np.concatenate([np.arange(100) < 75, np.arange(100) < 25])
    assert calibration_error(confidences, right) == pytest.approx(0.0)
    assert calibration_error(np.ones(100), np.arange(100) < 60) == pytest.approx(0.4)


def test_accuracy_by_class() -> None:
    labels = np.array([0, 0, 1, 3])
    right = np.array([True, False, True, False])
    found = accuracy_by_class(labels, right, classes=4)
    np.testing.assert_array_equal(found, [0.5, 1.0, np.nan, 0.0])
