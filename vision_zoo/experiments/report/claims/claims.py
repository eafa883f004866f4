"""The claims of the five reports, each with its comparisons and the rule for its verdict.

A rule is written down here, before anything is measured; what it gives depends on `results/` alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from vision_zoo.experiments.report.claims.evidence import Comparison, Measured
from vision_zoo.experiments.report.figures import collapse
from vision_zoo.experiments.report.verdicts import POINTS

Verdict = Literal["holds", "does not hold", "inconclusive"]

_FASTER = 1.1  # times: less is noise
_NEAR = 1.0  # points that a claimed difference may be off


@dataclass(frozen=True)
class Finding:
    """A verdict and the sentences that give its reasons."""

    verdict: Verdict
    reasons: tuple[str, ...]


Rule = Callable[[Mapping[str, Measured], list[Comparison]], Finding]


@dataclass(frozen=True)
class Claim:
    """A sentence of a report.

    `pairs` are the recipes that are compared, (first, second); `others` are shown beside them and have no
    influence on the verdict. `losses` plots the loss of every run over its epochs.
    """

    name: str
    report: str
    text: str
    pairs: tuple[tuple[str, str], ...]
    rule: Rule
    others: tuple[str, ...] = ()
    losses: bool = False

    @property
    def recipes(self) -> tuple[str, ...]:
        """The compared recipes, each once, in order."""
        return tuple(dict.fromkeys(name for pair in self.pairs for name in pair))


def _all_better(_measured: Mapping[str, Measured], comparisons: list[Comparison]) -> Finding:
    """Every first is better than its second."""
    reasons = tuple(_difference(comparison) for comparison in comparisons)
    if all(comparison.shown and comparison.points > 0 for comparison in comparisons):
        return Finding("holds", reasons)
    if any(comparison.shown and comparison.points < 0 for comparison in comparisons):
        return Finding("does not hold", reasons)
    return Finding("inconclusive", reasons)


def _difference(comparison: Comparison) -> str:
    first, second = comparison.first.recipe.name, comparison.second.recipe.name
    if not comparison.shown:
        return f"No difference is shown between `{first}` and `{second}` ({comparison.points:+.2f} points)."
    better = "above" if comparison.points > 0 else "below"
    text = f"`{first}` is {abs(comparison.points):.2f} points {better} `{second}`."
    return f"{text[:-1]}, with a single run of one of them." if comparison.one_run_each else text


def _worth(points: float) -> Rule:
    """The first is better than the second by about `points`."""

    def rule(_measured: Mapping[str, Measured], comparisons: list[Comparison]) -> Finding:
        (comparison,) = comparisons
        lost = [
            f"`{one.recipe.name}`: {text}"
            for one in (comparison.first, comparison.second)
            if (text := collapse(one.recipe, list(one.accuracies.values()))) is not None
        ]
        reasons = (
            _difference(comparison),
            *lost,
            f"The claim is {points:+.1f} points; the tolerance is {_NEAR:g} points.",
        )
        near = abs(comparison.points - points) <= _NEAR
        if not comparison.shown:
            return Finding("inconclusive", reasons)
        return Finding("holds" if near else "does not hold", reasons)

    return rule


def _fastest(name: str) -> Rule:
    """`name` needs the least time to train and to classify the test split, by a tenth at least."""

    def rule(measured: Mapping[str, Measured], _comparisons: list[Comparison]) -> Finding:
        own = measured[name]
        train_seconds = {key: other.train_seconds for key, other in measured.items()}
        shared = [f"`{key}`" for key, value in train_seconds.items() if value is None]
        if shared:
            return Finding("inconclusive", (f"The runs of {', '.join(shared)} shared a device with others.",))
        seconds = {
            "to train": {key: value for key, value in train_seconds.items() if value is not None},
            "to classify the test images": {
                key: _inference_seconds(other) for key, other in measured.items()
            },
        }
        reasons, fastest, slower = [], True, False
        for what, values in seconds.items():
            best = min((value, key) for key, value in values.items() if key != name)
            reasons.append(
                f"`{name}` takes {values[name]:.1f} s {what}; the fastest of the others, `{best[1]}`, takes "
                f"{best[0]:.1f} s."
            )
            fastest &= values[name] * _FASTER <= best[0]
            slower |= values[name] >= best[0] * _FASTER
        if len({other.environment for other in measured.values()}) > 1:
            return Finding("inconclusive", (*reasons, "They were not measured in the same environment."))
        if own.runs and fastest:
            return Finding("holds", tuple(reasons))
        return Finding("does not hold" if slower else "inconclusive", tuple(reasons))

    return rule


def _inference_seconds(measured: Measured) -> float:
    return sum(run.inference_seconds for run in measured.runs) / len(measured.runs)


def _no_gain(_measured: Mapping[str, Measured], comparisons: list[Comparison]) -> Finding:
    """The first is neither shown to be more accurate than the seconds nor faster than the best of them."""
    first = comparisons[0].first
    reasons = [_difference(comparison) for comparison in comparisons]
    best = max((comparison.second for comparison in comparisons), key=lambda other: other.mean)
    gains = any(
        comparison.shown and comparison.points > 0 and comparison.second is best for comparison in comparisons
    )
    if first.latency_ms is None or best.latency_ms is None:
        return Finding("inconclusive", (*reasons, "One of them has no shipped model."))
    ratio = first.latency_ms / best.latency_ms
    reasons.append(
        f"Latency of one image: {first.latency_ms:.3f} ms with `{first.recipe.name}`, {best.latency_ms:.3f} ms with "
        f"the architecture of `{best.recipe.name}`, {ratio:.1f}x. Parameters: {first.parameters:,} and "
        f"{best.parameters:,}."
    )
    return Finding("does not hold" if gains or ratio < 1 / _FASTER else "holds", tuple(reasons))


def _matches(_measured: Mapping[str, Measured], comparisons: list[Comparison]) -> Finding:
    """The mean of the first is at most the tolerance of a reproduction below that of the second."""
    (comparison,) = comparisons
    epochs = (comparison.first.recipe.stopping.epochs, comparison.second.recipe.stopping.epochs)
    reasons = (
        _difference(comparison),
        f"A match means at most {POINTS:g} points below. Epochs: {epochs[0]} and {epochs[1]}.",
    )
    if comparison.points >= -POINTS:
        return Finding("holds", reasons)
    return Finding("does not hold" if comparison.shown else "inconclusive", reasons)


def _in_fewer_steps(measured: Mapping[str, Measured], comparisons: list[Comparison]) -> Finding:
    """The first is better, after fewer steps, with fewer parameters."""
    (comparison,) = comparisons
    first, second = comparison.first, comparison.second
    steps = [round(sum(run.steps for run in one.runs) / len(one.runs)) for one in (first, second)]
    fewer = 100 * (1 - first.parameters / second.parameters)
    better = _all_better(measured, comparisons)
    reasons = (
        *better.reasons,
        f"Steps: {steps[0]:,} and {steps[1]:,}.",
        f"Parameters: {first.parameters:,} and {second.parameters:,}, {fewer:.1f} % fewer.",
    )
    if better.verdict == "holds" and not (steps[0] < steps[1] and fewer > 0):
        return Finding("does not hold", reasons)
    return Finding(better.verdict, reasons)


CLAIMS = (
    Claim(
        "alexnet-most-accurate",
        "A",
        "AlexNet is the most accurate.",
        (
            ("alexnet_finetuned-mnist", "simple_cnn-mnist"),
            ("alexnet_finetuned-mnist", "patch_lstm-mnist"),
            ("alexnet_finetuned-cifar10", "simple_cnn-cifar10"),
            ("alexnet_finetuned-cifar10", "patch_lstm-cifar10"),
        ),
        _all_better,
        others=("alexnet_one_layer-cifar10", "patch_lstm_logits-mnist", "patch_lstm_logits-cifar10"),
    ),
    Claim(
        "simple-cnn-fastest",
        "A",
        "SimpleCNN is the fastest.",
        (
            ("simple_cnn-mnist", "alexnet_finetuned-mnist"),
            ("simple_cnn-mnist", "patch_lstm-mnist"),
        ),
        _fastest("simple_cnn-mnist"),
    ),
    Claim(
        "lstm-better",
        "B",
        "The LSTM is marginally better than the CNN.",
        (("row_lstm-mnist", "small_cnn-mnist"),),
        _all_better,
    ),
    Claim(
        "batch-norm-high-rate",
        "C",
        "Batch normalisation is worth 6.4 points at a learning rate of 0.003.",
        (("bn_cnn-fashion_mnist", "bn_cnn_without_bn-fashion_mnist"),),
        _worth(6.4),
        losses=True,
    ),
    Claim(
        "batch-norm-tuned-rate",
        "C",
        "Batch normalisation is worth 0.7 points against a learning rate that suits its absence.",
        (("bn_cnn-fashion_mnist", "bn_cnn_without_bn_low_lr-fashion_mnist"),),
        _worth(0.7),
        others=("bn_cnn_slow_decay-fashion_mnist", "bn_cnn_without_augmentation-fashion_mnist"),
    ),
    Claim(
        "mobilenet-no-gain",
        "D",
        "MobileNet shows no efficiency gain on MNIST.",
        (("mobilenet-mnist", "optimized_cnn-mnist"), ("mobilenet-mnist", "basic_cnn-mnist")),
        _no_gain,
        others=("optimized_cnn_without_flip-mnist",),
    ),
    Claim(
        "vit-matches",
        "D",
        "The vision transformer matches the CNN with more epochs.",
        (("vit-mnist", "optimized_cnn-mnist"),),
        _matches,
        others=("optimized_cnn_without_flip-mnist",),
    ),
    Claim(
        "all-cnn-better",
        "E",
        "All-CNN beats the basic CNN in fewer steps with 14.5 % fewer parameters.",
        (("all_cnn-imagenette", "conv_block_cnn-imagenette"),),
        _in_fewer_steps,
        others=("all_cnn_20_epochs-imagenette",),
    ),
    Claim(
        "scratch-beats-transfer",
        "E",
        "Training from scratch beats frozen transfer by 22.7 points.",
        (("all_cnn-cifar10_gray", "all_cnn_transfer-cifar10_gray"),),
        _worth(22.7),
        others=("all_cnn_transfer_20_epochs-cifar10_gray",),
    ),
)
