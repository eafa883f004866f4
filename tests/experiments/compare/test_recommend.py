"""What is recommended, on models made up for it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vision_zoo.core.errors import UnknownNameError, UsageError
from vision_zoo.experiments.compare.document import ComparedModel
from vision_zoo.experiments.compare.measure import MeasuredModel
from vision_zoo.experiments.compare.recommend import (
    against_the_best,
    commonest_share,
    on_the_front,
    rare_classes,
    recommend,
)
from vision_zoo.experiments.compare.settings import ComparisonSettings, Limits, parse_budget

_IMAGES = 1000


def _model(
    name: str, accuracy: float, p50_ms: float, *, size_mb: float = 1.0, shift: int = 0
) -> MeasuredModel:
    right = np.ones(_IMAGES, dtype=bool)
    right[shift : shift + round((1 - accuracy) * _IMAGES)] = False
    return _measured(right, model=name, test_accuracy=accuracy, p50_ms=p50_ms, size_mb=size_mb)


def _measured(right: NDArray[np.bool_], **figures: Any) -> MeasuredModel:
    others = dict.fromkeys(ComparedModel.__dataclass_fields__)
    return MeasuredModel(ComparedModel(**{**others, "size_mb": 1.0, **figures}), right)


def test_the_quickest_of_those_that_are_not_shown_to_be_worse() -> None:
    models = [
        _model("best", 0.950, 2.0),
        _model("as good", 0.949, 0.5),  # one image
        _model("quickest", 0.900, 0.1),  # fifty images
    ]
    found = recommend(models, Limits())
    assert found.model == "as good"
    assert "most accurate one, best (94.90% against 95.00% of 1,000 test images)" in found.reason
    assert list(found.as_good) == ["best"]
    verdicts = {entry.model: entry.worse for entry in against_the_best(models)}
    assert verdicts == {"as good": False, "quickest": True}


def test_what_few_images_cannot_tell_apart_is_not_as_good_for_that() -> None:
    right = np.arange(60) < 43
    best = _measured(right, model="best", test_accuracy=43 / 60, p50_ms=2.0)
    near, far = (
        _measured(np.arange(60) < count, model=name, test_accuracy=count / 60, p50_ms=0.1)
        for name, count in (("near", 42), ("far", 38))
    )
    assert not any(entry.worse for entry in against_the_best([best, near, far]))
    assert recommend([best, far], Limits()).model == "best"
    assert recommend([best, near, far], Limits()).model == "near"


def test_two_heads_are_told_apart_by_the_images_of_their_cross_validation_too() -> None:
    """Sixty test images say nothing of 97 against 93 %; with the 240 that both were left out of they do."""
    test = np.arange(60)
    better, quicker = (
        MeasuredModel(
            _measured(test < right, model=name, test_accuracy=right / 60, p50_ms=p50_ms).figures,
            test < right,
            np.arange(240) < validated,
        )
        for name, right, validated, p50_ms in (("better", 57, 234, 2.0), ("quicker", 58, 200, 0.1))
    )
    alone = [MeasuredModel(model.figures, model.right) for model in (better, quicker)]
    assert recommend(alone, Limits()).model == "quicker"
    found = recommend([better, quicker], Limits())
    assert (found.model, found.as_good) == ("better", [])
    (difference,) = against_the_best([better, quicker])
    assert difference.worse
    assert difference.points == pytest.approx(100 * (258 - 291) / 300)
    # A model without a cross-validation is compared on the test images that all have.
    third = _measured(test < 57, model="third", test_accuracy=57 / 60, p50_ms=0.05)
    assert recommend([better, quicker, third], Limits()).model == "third"


def test_a_model_that_may_know_nothing_is_recommended_with_a_warning() -> None:
    assert commonest_share(np.array([0, 1, 1, 2])) == 0.5
    models = [_model("best", 0.52, 1.0)]  # 52 % of 1,000 are 48.9 % to 55.1 %
    assert recommend(models, Limits(), by_chance=0.48).warning is None
    warning = recommend(models, Limits(), by_chance=0.5).warning
    assert warning is not None
    assert "best is not significantly better than always predicting the most frequent class" in warning
    assert "(50.0% accuracy) on 1,000 test images: add images of each class" in warning
    assert "--budget" not in warning  # more images could show it, more time could not
    worse = recommend(models, Limits(), by_chance=0.53).warning
    assert worse is not None
    assert worse.endswith("or use a larger --budget")


def test_where_images_say_nothing_pretrained_features_go_before_networks_from_scratch() -> None:
    lucky, fast, head, better_head = (
        _measured(np.array(right), model=name, test_accuracy=float(np.mean(right)), p50_ms=p50_ms)
        for name, right, p50_ms in (
            ("lucky", [True, True], 2.0),
            ("fast", [True, False], 1.0),
            ("head", [True, False], 4.0),
            ("better head", [False, True], 5.0),
        )
    )
    models = [
        lucky,
        fast,
        MeasuredModel(head.figures, head.right, np.array([False, True, False])),
        MeasuredModel(better_head.figures, better_head.right, np.array([True, True, False])),
    ]
    found = recommend(models, Limits(), by_chance=0.5)
    assert found.model == "better head"
    assert found.reason == (
        "a layer on pretrained features; on 2 test images no model is significantly better than always predicting the "
        "most frequent class"
    )
    slower = MeasuredModel(
        replace(better_head.figures, model="slower", p50_ms=9.0), models[3].right, models[3].cross_validated
    )
    assert recommend([slower, *models], Limits(), by_chance=0.5).model == "better head"
    assert recommend(models, Limits(), by_chance=0.1).model == "lucky"  # 2 of 2: at least 34 %
    assert recommend(models[:2], Limits(), by_chance=0.5).model == "lucky"
    assert recommend(models, Limits(max_latency_ms=3), by_chance=0.5).model == "lucky"


def test_an_accuracy_on_few_images_is_recommended_with_its_interval() -> None:
    few, enough = (
        _measured(np.ones(images, dtype=bool), model="best", test_accuracy=1.0, p50_ms=1.0)
        for images in (12, 60)
    )
    assert recommend([enough], Limits(), by_chance=0.5).warning is None
    assert recommend([few], Limits(), by_chance=0.5).warning == (
        "the accuracy of best on new images is between 76% and 100% (95% interval), since 12 test images are few: add "
        "images of each class"
    )


def test_a_model_that_is_mostly_wrong_is_recommended_with_a_warning() -> None:
    """Of 300 classes 2 % are far above chance, and of no use."""
    assert recommend([_model("best", 0.02, 1.0)], Limits(), by_chance=0.003).warning == (
        "best is wrong on most test images: use a larger --budget, or add images of each class"
    )


def test_classes_that_few_test_images_are_of_are_named() -> None:
    rare = rare_classes(np.array([0] * 90 + [1] * 5 + [2]), ["common", "enough", "rare", "none"])
    assert rare == ["rare", "none"]
    warning = recommend([_model("best", 1.0, 1.0)], Limits(), rare=rare).warning
    assert warning == (
        "the accuracy says little about the classes rare, none, with fewer than 5 test images: add images of them"
    )


def test_of_equal_models_the_fastest_is_not_said_to_be_less_accurate() -> None:
    models = [_model("best", 1.0, 2.0), _model("quick", 1.0, 0.5)]
    found = recommend(models, Limits())
    assert found.model == "quick"
    assert found.reason == (
        "the fastest of the most accurate models; best has the same accuracy on the 1,000 test images"
    )


def test_who_had_no_time_is_named_in_a_warning() -> None:
    models = [_model("best", 0.95, 2.0)]
    assert recommend(models, Limits()).warning is None
    warning = recommend(models, Limits(), no_time=["vit", "all_cnn"]).warning
    assert warning == (
        "the budget had no time for vit, all_cnn, which could be better: use a larger --budget"
    )


def test_limits_come_first() -> None:
    models = [_model("best", 0.95, 2.0, size_mb=9.0), _model("small", 0.90, 0.1)]
    assert recommend(models, Limits(max_latency_ms=1.0)).model == "small"
    assert recommend(models, Limits(max_size_mb=5.0)).model == "small"
    assert recommend(models, Limits(min_accuracy=0.92)).model == "best"
    nothing = recommend(models, Limits(max_latency_ms=1.0, min_accuracy=0.92))
    assert nothing.model is None
    assert "2 ms, more than 1" in nothing.reason
    assert "90.00% accuracy, less than 92.00%" in nothing.reason


def test_a_single_model_is_compared_with_nobody() -> None:
    assert against_the_best([_model("only", 0.9, 1.0)]) == []
    assert recommend([_model("only", 0.9, 1.0)], Limits()).model == "only"
    assert recommend([], Limits()).model is None


def test_the_front_is_of_those_that_nobody_beats_in_both() -> None:
    models = [_model("quick", 0.8, 0.1), _model("slow", 0.9, 1.0), _model("neither", 0.8, 0.5)]
    assert on_the_front(models) == {"quick", "slow"}


@pytest.mark.parametrize(
    ("text", "seconds"), [("20m", 1200), ("90s", 90), ("1.5h", 5400), ("3", 180), (" 2 M ", 120)]
)
def test_a_budget_is_a_time(text: str, seconds: float) -> None:
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5m", "5d", "m"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a duration; expected for example 20m"):
        parse_budget(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": 0},
        {"budget_seconds": 5.0},
        {"precisions": ("fp8",)},
        {"architectures": ("lenet", "lenet")},
        {"architectures": ()},
        {"provider": "tpu"},
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        ComparisonSettings(dataset="mnist-5k", **changes)  # type: ignore[arg-type]


def test_an_unknown_architecture_is_named() -> None:
    with pytest.raises(UnknownNameError, match="resnet"):
        ComparisonSettings(dataset="mnist-5k", architectures=("resnet",))


@pytest.mark.parametrize("limits", [{"max_latency_ms": 0.0}, {"max_size_mb": -1.0}, {"min_accuracy": 90.0}])
def test_limits_out_of_range_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="is out of range"):
        Limits(**limits)
