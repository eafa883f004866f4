"""The claims of report C."""

from vision_zoo.core.estimates import Band
from vision_zoo.experiments.report.claims.checks import Count
from vision_zoo.experiments.report.claims.difference import Difference
from vision_zoo.experiments.report.claims.measures import (
    MEAN_LOSS,
    RISES,
    TEST_GAP,
)
from vision_zoo.experiments.report.claims.verdict import Claim, Reading
from vision_zoo.experiments.report.claims.wording import ABOVE, TEXT, better, less, readings, worth

_BN, _NO_BN, _LOW = "bn_cnn", "bn_cnn_without_bn", "bn_cnn_without_bn_low_lr"
_PLAIN, _PLAIN_SLOW = "without_augmentation-fashion_mnist", "without_augmentation_slow_decay-fashion_mnist"
_LENET, _ALEXNET = "lenet-fashion_mnist", "small_alexnet"
_HIGH_PAIRS = {
    "text": (f"{_BN}-fashion_mnist", f"{_NO_BN}-fashion_mnist"),
    "figures": (f"{_BN}_{_PLAIN}", f"{_NO_BN}_{_PLAIN}"),
}
_LOW_PAIRS = {
    "text": (f"{_BN}-fashion_mnist", f"{_LOW}-fashion_mnist"),
    "figures": (f"{_BN}_{_PLAIN}", f"{_LOW}_{_PLAIN}"),
    "slow": (f"{_BN}_{_PLAIN_SLOW}", f"{_LOW}_{_PLAIN_SLOW}"),
}

CLAIMS = (
    Claim(
        "alexnet-beats-lenet",
        "C",
        "Small AlexNet beats LeNet.",
        readings(
            better,
            text=(f"{_ALEXNET}-fashion_mnist", _LENET),
            figures=(f"{_ALEXNET}_{_PLAIN}", _LENET),
            slow=(f"{_ALEXNET}_{_PLAIN_SLOW}", _LENET),
        ),
    ),
    Claim(
        "custom-beats-both",
        "C",
        "The custom CNN beats LeNet and small AlexNet.",
        readings(
            better,
            text=(f"{_BN}-fashion_mnist", _LENET, f"{_ALEXNET}-fashion_mnist"),
            figures=(f"{_BN}_{_PLAIN}", _LENET, f"{_ALEXNET}_{_PLAIN}"),
            slow=(f"{_BN}_{_PLAIN_SLOW}", _LENET, f"{_ALEXNET}_{_PLAIN_SLOW}"),
        ),
    ),
    Claim(
        "custom-cheaper",
        "C",
        "The custom CNN is computationally cheaper than AlexNet.",
        readings(
            lambda first, second: (Count("operations", first, second, Band(0.0, 1.0), "fewer"),),
            text=(f"{_BN}-fashion_mnist", f"{_ALEXNET}-fashion_mnist"),
            figures=(f"{_BN}_{_PLAIN}", f"{_ALEXNET}_{_PLAIN}"),
        ),
        "AlexNet is the report's small AlexNet; operations are multiply-accumulate operations for one "
        "image in the exported file, where the custom CNN's first two convolutions are one; as printed they are more.",
    ),
    Claim(
        "batch-norm-high-rate",
        "C",
        "Batch normalisation is worth 6.4 points at a learning rate of 0.003.",
        readings(lambda first, second: worth(6.4, first, second, learnt=True), **_HIGH_PAIRS),
    ),
    Claim(
        "batch-norm-tuned-rate",
        "C",
        "Batch normalisation is worth 0.7 points against a learning rate that suits its absence.",
        readings(lambda first, second: worth(0.7, first, second), **_LOW_PAIRS),
    ),
    Claim(
        "erratic-without-batch-norm",
        "C",
        "Without batch normalisation the loss is erratic and convergence slower.",
        readings(
            lambda first, second: tuple(
                Difference(measure, second, first, ABOVE, learnt=True) for measure in (RISES, MEAN_LOSS)
            ),
            **_HIGH_PAIRS,
        ),
        "Erratic is interpreted as rising from one epoch to the next, slower as a larger mean over the epochs.",
    ),
    Claim(
        "batch-norm-regularises",
        "C",
        "Batch normalisation regularises.",
        readings(lambda first, second: less(TEST_GAP, first, second), **_LOW_PAIRS),
    ),
    Claim(
        "augmentation-mitigates",
        "C",
        "Augmentation mitigates overfitting.",
        (
            Reading(
                TEXT,
                tuple(
                    check
                    for name in (_BN, _ALEXNET)
                    for check in less(TEST_GAP, f"{name}-fashion_mnist", f"{name}_{_PLAIN}")
                ),
            ),
            Reading(
                "the custom CNN, learning rate halved by StepLR",
                less(TEST_GAP, f"{_BN}_slow_decay-fashion_mnist", f"{_BN}_{_PLAIN_SLOW}"),
            ),
        ),
    ),
    Claim(
        "lenet-beats-mlp",
        "C",
        "LeNet beats a multilayer perceptron.",
        (Reading(TEXT, lacks="a recipe of a multilayer perceptron, which the report does not describe"),),
    ),
)
