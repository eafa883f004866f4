"""The recommendation: the fastest model among those within the limits that are as good as the best.

As good is what lies within a standard error of the best, after the rule of Breiman et al., 1984, and is not shown to
be worse by a paired test. With few test images the test alone would let anything pass, with many the rule alone. Where
no model is significantly better than always predicting the most frequent class, test images say nothing, and a layer on
pretrained features goes before networks that few images trained from scratch.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vision_zoo.core.statistics import SIGNIFICANT, Interval, accuracy_interval, holm, mcnemar, pareto_front
from vision_zoo.data.scan import listed
from vision_zoo.experiments.compare.document import Difference, Recommendation
from vision_zoo.experiments.compare.measure import MeasuredModel
from vision_zoo.experiments.compare.settings import Limits

_ROUGH = 0.2
"""A wider interval of an accuracy is warned of: that of fewer than about 60 test images."""
_MOSTLY_RIGHT = 0.5
_FEWEST_OF_CLASS = 5


def on_the_same_images(
    first: MeasuredModel, second: MeasuredModel
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which images each gets right, of those that both were judged by: training images too, where both have them."""
    one, other = first.cross_validated, second.cross_validated
    if one is None or other is None or len(one) != len(other):
        return first.right, second.right
    return np.concatenate([first.right, one]), np.concatenate([second.right, other])


def against_the_best(models: Sequence[MeasuredModel]) -> list[Difference]:
    """Every model against the best one on the same images, corrected for their number."""
    if not models:
        return []
    best = most_accurate(models)
    others = [model for model in models if model is not best]
    pairs = [on_the_same_images(best, model) for model in others]
    tests = [mcnemar(*pair) for pair in pairs]
    corrected = holm([test.p_value for test in tests])
    return [
        Difference(
            best=best.figures.model,
            model=model.figures.model,
            points=100 * float(pair[1].mean() - pair[0].mean()),
            only_best_right=test.only_first,
            only_model_right=test.only_second,
            p_value=p_value,
            worse=p_value < SIGNIFICANT,
        )
        for model, pair, test, p_value in zip(others, pairs, tests, corrected, strict=True)
    ]


def most_accurate(models: Sequence[MeasuredModel]) -> MeasuredModel:
    """The one that is right on most test images, unless another beats it on more images that both were judged by."""
    best = max(models, key=_accuracy)
    for model in models:
        of_best, of_model = on_the_same_images(best, model)
        if len(of_best) > len(best.right) and of_model.sum() > of_best.sum():
            best = model
    return best


def commonest_share(labels: NDArray[np.int64]) -> float:
    """How many of the images are right, as a fraction, when all are given the most frequent class of `labels`."""
    return float(np.bincount(labels).max() / len(labels))


def rare_classes(labels: NDArray[np.int64], names: Sequence[str]) -> list[str]:
    """Those of the classes called `names` of which so few images `labels` `[images]` are that they say little of them."""
    counts = np.bincount(labels, minlength=len(names))
    return [name for name, count in zip(names, counts, strict=True) if count < _FEWEST_OF_CLASS]


def recommend(
    models: Sequence[MeasuredModel],
    limits: Limits,
    *,
    by_chance: float = 0.0,
    no_time: Sequence[str] = (),
    rare: Sequence[str] = (),
) -> Recommendation:
    """Recommend a model.

    `by_chance` is the accuracy of always predicting the most frequent class, `no_time` names the architectures for
    which the budget had no time, and `rare` the classes with too few test images.
    """
    allowed = [model for model in models if not _broken(model, limits)]
    if not allowed:
        reasons = "; ".join(f"{model.figures.model}: {', '.join(_broken(model, limits))}" for model in models)
        return Recommendation(None, f"no model is within the limits ({reasons or 'none was trained'})")
    comparisons = against_the_best(allowed)
    worse = {comparison.model for comparison in comparisons if comparison.worse}
    best = most_accurate(allowed)
    not_worse = [model for model in allowed if model.figures.model not in worse]
    as_good = [model for model in not_worse if _is_near(model, best)]
    heads = [model for model in not_worse if model.cross_validated is not None]
    unknown = bool(heads) and _interval(best).low <= by_chance
    # Of several that are right on as many images, it is the fastest.
    chosen = most_accurate(sorted(heads, key=_latency)) if unknown else min(as_good, key=_latency)
    name = chosen.figures.model
    if unknown:
        reason = (
            f"a layer on pretrained features; on {len(best.right):,} test images no model is significantly better than "
            "always predicting the most frequent class"
        )
    elif chosen is best:
        reason = "the most accurate model"
        if len(as_good) > 1:
            reason += ", and the fastest of those within its standard error"
    else:
        reason = _faster_than(chosen, best)
    others = [model.figures.model for model in as_good if model is not chosen]
    warnings = []
    interval, images = _interval(chosen), len(chosen.right)
    if interval.low <= by_chance:
        longer = ", or use a larger --budget" if _accuracy(chosen) <= by_chance else ""
        warnings.append(
            f"{name} is not significantly better than always predicting the most frequent class "
            f"({by_chance:.1%} accuracy) on {images:,} test images: add images of each class{longer}"
        )
    elif _accuracy(chosen) < _MOSTLY_RIGHT:
        warnings.append(
            f"{name} is wrong on most test images: use a larger --budget, or add images of each class"
        )
    elif interval.high - interval.low > _ROUGH:
        warnings.append(
            f"the accuracy of {name} on new images is between {interval.low:.0%} and {interval.high:.0%} (95% interval), "
            f"since {images:,} test images are few: add images of each class"
        )
    if rare:
        warnings.append(
            f"the accuracy says little about the class{'es' if len(rare) > 1 else ''} {listed(rare)}, with fewer than "
            f"{_FEWEST_OF_CLASS} test images: add images of {'them' if len(rare) > 1 else 'it'}"
        )
    if no_time:
        warnings.append(
            f"the budget had no time for {listed(no_time)}, which could be better: use a larger --budget"
        )
    return Recommendation(name, reason, others, "; ".join(warnings) or None)


def _faster_than(chosen: MeasuredModel, best: MeasuredModel) -> str:
    """Why `chosen` and not the most accurate model."""
    of_best, of_chosen = on_the_same_images(best, chosen)
    name = best.figures.model
    images = (
        f"{len(of_best):,} {'test' if len(of_best) == len(best.right) else 'test and cross-validated'} images"
    )
    if of_best.sum() == of_chosen.sum():
        return f"the fastest of the most accurate models; {name} has the same accuracy on the {images}"
    points = 100 * _standard_error(of_best)
    return (
        f"the fastest model within one standard error ({points:.1f} points) of the most accurate one, {name} "
        f"({of_chosen.mean():.2%} against {of_best.mean():.2%} of {images}); the difference is not significant"
    )


def on_the_front(models: Sequence[MeasuredModel]) -> set[str]:
    """Those that no other beats in both latency and accuracy."""
    points = [(model.figures.p50_ms, _accuracy(model)) for model in models]
    return {models[index].figures.model for index in pareto_front(points)}


def _accuracy(model: MeasuredModel) -> float:
    return model.figures.test_accuracy


def _interval(model: MeasuredModel) -> Interval:
    """Of its accuracy, over the test images."""
    return accuracy_interval(int(model.right.sum()), len(model.right))


def _latency(model: MeasuredModel) -> float:
    return model.figures.p50_ms


def _is_near(model: MeasuredModel, best: MeasuredModel) -> bool:
    of_best, of_model = on_the_same_images(best, model)
    return bool(of_model.mean() >= of_best.mean() - _standard_error(of_best))


def _standard_error(right: NDArray[np.bool_]) -> float:
    """Of an accuracy, over the images."""
    accuracy = float(right.mean())
    return float((accuracy * (1 - accuracy) / len(right)) ** 0.5)


def _broken(model: MeasuredModel, limits: Limits) -> list[str]:
    figures = model.figures
    return limits.broken_by(p50_ms=figures.p50_ms, size_mb=figures.size_mb, accuracy=figures.test_accuracy)
