"""The claims of reports D and E."""

from vision_zoo.core.estimates import Band
from vision_zoo.experiments.report.claims.checks import Count, Timing
from vision_zoo.experiments.report.claims.difference import Difference
from vision_zoo.experiments.report.claims.measures import (
    FIRST_EPOCH,
    LAST_LOSS,
    TEST_ACCURACY,
    VALIDATION_ACCURACY,
    VALIDATION_GAP,
)
from vision_zoo.experiments.report.claims.verdict import Claim
from vision_zoo.experiments.report.claims.wording import (
    MATCH,
    NEAR_ON_COPY,
    NO_GAIN,
    SOME,
    better,
    less,
    readings,
    worth,
)

_MOBILENET = "mobilenet-mnist"
_OPTIMIZED = {"text": "optimized_cnn-mnist", "figures": "optimized_cnn_without_augmentation-mnist"}
_AGAINST_OPTIMIZED = {key: (_MOBILENET, name) for key, name in _OPTIMIZED.items()}
_VIT = {
    "text": ("vit-mnist", _OPTIMIZED["text"]),
    "figures": ("vit_augmented-mnist", _OPTIMIZED["figures"]),
}

_D = (
    Claim(
        "optimized-beats-basic",
        "D",
        "The optimized CNN beats the basic one.",
        readings(
            better,
            text=(_OPTIMIZED["text"], "basic_cnn-mnist"),
            figures=(_OPTIMIZED["figures"], "basic_cnn_16_filters-mnist"),
        ),
    ),
    Claim(
        "mobilenet-loss",
        "D",
        "MobileNet's training loss is slightly lower than the optimized CNN's.",
        readings(lambda first, second: less(LAST_LOSS, first, second), **_AGAINST_OPTIMIZED),
        "The report's own table contradicts this: 0.0202 against 0.0167.",
    ),
    Claim(
        "mobilenet-no-gain-accuracy",
        "D",
        "MobileNet shows no gain in accuracy on MNIST.",
        readings(
            lambda first, second: (Difference(TEST_ACCURACY, first, second, NO_GAIN),), **_AGAINST_OPTIMIZED
        ),
    ),
    Claim(
        "mobilenet-no-gain-time",
        "D",
        "MobileNet shows no gain in time on MNIST.",
        readings(
            lambda first, second: (Timing("training", second, first), Timing("inference", second, first)),
            **_AGAINST_OPTIMIZED,
        ),
    ),
    Claim(
        "mobilenet-no-gain-size",
        "D",
        "MobileNet shows no gain in size on MNIST.",
        readings(
            lambda first, second: (
                Count("parameters", first, second, Band(low=1.0), "at least as many", "as"),
            ),
            **_AGAINST_OPTIMIZED,
        ),
    ),
    Claim(
        "vit-matches",
        "D",
        "The vision transformer matches the optimized CNN, with more epochs.",
        readings(lambda first, second: (Difference(TEST_ACCURACY, first, second, MATCH),), **_VIT),
        "Ten epochs against five.",
    ),
    Claim(
        "vit-starts-weaker",
        "D",
        "The vision transformer starts weaker than the optimized CNN.",
        readings(lambda first, second: less(FIRST_EPOCH, first, second), **_VIT),
    ),
)

_ALL_CNN = {"text": "all_cnn-imagenette", "figures": "all_cnn_batch_norm-imagenette"}
_REGULARIZED = {
    "text": "all_cnn_regularized-imagenette",
    "figures": "all_cnn_regularized_batch_norm-imagenette",
}
_REGULARISATION = {key: (_REGULARIZED[key], plain) for key, plain in _ALL_CNN.items()}

_E = (
    Claim(
        "all-cnn-better",
        "E",
        "All-CNN beats the basic CNN in fewer steps with 14.5 % fewer parameters.",
        readings(
            lambda first, second: (
                *better(first, second),
                Count("steps", first, second, Band(0.0, 1.0), "fewer"),
                Count("parameters", first, second, Band(0.85, 0.86), "14 to 15 % fewer"),
            ),
            **{key: (name, "conv_block_cnn-imagenette") for key, name in _ALL_CNN.items()},
        ),
    ),
    Claim(
        "regularisation-improves",
        "E",
        "Augmentation and dropout improve the validation accuracy a little.",
        readings(
            lambda first, second: (Difference(VALIDATION_ACCURACY, first, second, Band(0.0, SOME)),),
            **_REGULARISATION,
        ),
        "The report's own difference is 0.64 points.",
    ),
    Claim(
        "regularisation-narrows",
        "E",
        "Augmentation and dropout narrow the gap between training and validation.",
        readings(lambda first, second: less(VALIDATION_GAP, first, second), **_REGULARISATION),
    ),
    Claim(
        "scratch-beats-transfer",
        "E",
        "Training from scratch beats frozen transfer by 22.7 points.",
        readings(
            lambda first, second: worth(22.7, first, second, near=NEAR_ON_COPY),
            text=("all_cnn-cifar10_gray", "all_cnn_transfer-cifar10_gray"),
            figures=("all_cnn_batch_norm-cifar10_gray", "all_cnn_transfer_batch_norm-cifar10_gray"),
        ),
    ),
)


CLAIMS = (*_D, *_E)
