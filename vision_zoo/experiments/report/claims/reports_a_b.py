"""The claims of reports A and B."""

import math

from vision_zoo.core.estimates import Band
from vision_zoo.experiments.report.claims.checks import Rate, Timing
from vision_zoo.experiments.report.claims.difference import Difference
from vision_zoo.experiments.report.claims.grid import BestOfGrid
from vision_zoo.experiments.report.claims.measures import (
    TEST_ACCURACY,
    TOTAL_LOSS,
    best_loss_is_not_best_accuracy,
)
from vision_zoo.experiments.report.claims.verdict import Claim, Reading
from vision_zoo.experiments.report.claims.wording import (
    FAR,
    LITTLE,
    MATCH,
    TEXT,
    better,
    readings,
)


def _report_a(dataset: str, title: str) -> tuple[Claim, ...]:
    cnn, lstm = f"simple_cnn-{dataset}", f"patch_lstm-{dataset}"
    whole, published = f"alexnet_finetuned-{dataset}", f"alexnet_published_classifier-{dataset}"
    return (
        Claim(
            f"alexnet-most-accurate-{dataset}",
            "A",
            f"AlexNet is the most accurate on {title}.",
            (
                Reading("all dense layers, from random weights", better(whole, cnn, lstm)),
                Reading("all dense layers, from published weights", better(published, cnn, lstm)),
                Reading(
                    "one dense layer, as in the abstract", better(f"alexnet_one_layer-{dataset}", cnn, lstm)
                ),
            ),
        ),
        *(
            Claim(
                f"simple-cnn-fastest-{what}-{dataset}",
                "A",
                f"SimpleCNN is the fastest in {what} on {title}.",
                (Reading(TEXT, (Timing(what, cnn, whole), Timing(what, cnn, lstm))),),
            )
            for what in ("training", "inference")
        ),
        Claim(
            f"patch-lstm-slower-{dataset}",
            "A",
            f"The patch-LSTM takes longer than SimpleCNN to classify {title}.",
            (Reading(TEXT, (Timing("inference", cnn, lstm),)),),
        ),
    )


_A = (
    *_report_a("mnist", "MNIST"),
    Claim(
        "patch-lstm-competitive-mnist",
        "A",
        "The patch-LSTM is competitive on MNIST.",
        (Reading(TEXT, (Difference(TEST_ACCURACY, "patch_lstm-mnist", "simple_cnn-mnist", MATCH),)),),
        "The report states no margin; its own results are 2.54 points apart.",
    ),
    *_report_a("cifar10", "CIFAR-10"),
)

_B = (
    Claim(
        "lstm-better",
        "B",
        "The LSTM is marginally better than the CNN.",
        readings(
            lambda first, second: (Difference(TEST_ACCURACY, first, second, Band(0.0, LITTLE)),),
            text=("row_lstm-mnist", "small_cnn-mnist"),
            figures=("row_lstm-mnist", "small_cnn_standardized-mnist"),
        ),
        "The report's own difference is 0.11 points.",
    ),
    Claim(
        "cnn-total-loss",
        "B",
        "The CNN's total training loss is far larger than the LSTM's.",
        readings(
            lambda first, second: (Difference(TOTAL_LOSS, first, second, Band(low=math.log(FAR))),),
            text=("small_cnn-mnist", "row_lstm-mnist"),
            figures=("small_cnn_standardized-mnist", "row_lstm-mnist"),
        ),
        "The report's totals are 12.664 and 5.450, over 391 and 782 batches.",
    ),
    Claim(
        "best-epoch",
        "B",
        "The best epoch is the one with the lowest loss, which is not the one with the highest accuracy.",
        readings(
            lambda *recipes: (
                Rate(
                    recipes,
                    best_loss_is_not_best_accuracy,
                    "the epoch with the lowest validation loss does not have the highest validation accuracy",
                ),
            ),
            text=("small_cnn-mnist", "row_lstm-mnist"),
            figures=("small_cnn_standardized-mnist", "row_lstm-mnist"),
        ),
    ),
    Claim(
        "best-grid-points",
        "B",
        "The chosen points of the grids are the best.",
        (Reading(TEXT, (BestOfGrid("small_cnn-mnist"), BestOfGrid("row_lstm-mnist"))),),
    ),
)


CLAIMS = (*_A, *_B)
