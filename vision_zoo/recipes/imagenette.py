"""Published experiments of report E on Imagenette, 64 x 64 in grayscale.

The report stopped at 30 minutes; the steps that it reached by then are a cap as well, so that the
results mean the same work on any machine. The stricter cap applies.
"""

from typing import Any

from vision_zoo.recipes.recipe import Augmentation, Recipe

REPORT_E: dict[str, Any] = {
    # CIFAR-10's RGB statistics, as the report prints them, weighted by luminance.
    "mean": (0.4809,),
    "std": (0.2466,),
    "epochs": 20,
    "batch_size": 128,
    "patience": 5,
    "kept_weights": "last",  # the report saves the network after training and restores nothing
    "validation_fraction": 0.1,
    "max_minutes": 30,
    "test_curve": True,
}

BATCH_NORM: dict[str, Any] = {"architecture_arguments": {"batch_norm": True}, "parameters": 1_148_618}
BATCH_NORM_REMARK = "The report's model summary lists batch normalisation."

_ALL_CNN = Recipe(
    name="all_cnn-imagenette",
    remark="Ends after the 226 steps that the report reached in 30 minutes.",
    title="Basic CNN against AllCNN: no pooling",
    report="E",
    reported={
        "test_accuracy": 0.5645,
        "validation_accuracy": 0.5839,
        "test_loss": 1.3417,
        "validation_loss": 1.2712,
        "train_loss_last_epoch": 0.9625,
        "steps": 226,
        "parameters": 1_146_634,
    },
    architecture="all_cnn",
    dataset="imagenette",
    parameters=1_146_826,
    max_steps=226,
    **REPORT_E,
)
_REGULARIZED = Recipe(
    name="all_cnn_regularized-imagenette",
    remark="20 epochs are 1,340 steps; a slow machine ends at the limit of 30 minutes.",
    title="Regularisation and transfer: AllCNN with more dropout and augmentation",
    report="E",
    reported={"validation_accuracy": 0.5903, "validation_loss": 1.2909, "train_loss_last_epoch": 1.1047},
    architecture="all_cnn",
    architecture_arguments={"dropout": 0.3, "classifier_dropout": 0.5, "scaled_to": 64},
    dataset="imagenette-160",
    parameters=1_146_826,
    augmentation=Augmentation(
        rotation=10, horizontal_flip=0.5, crop_scale=(0.8, 1.0), crop_tries=10, interpolation="nearest"
    ),
    **REPORT_E,
)

RECIPES = (
    Recipe(
        name="conv_block_cnn-imagenette",
        remark="Ends after the 290 steps that the report reached in 30 minutes.",
        title="Basic CNN against AllCNN: the basic CNN",
        report="E",
        reported={
            "test_accuracy": 0.5580,
            "validation_accuracy": 0.5681,
            "test_loss": 1.397,
            "validation_loss": 1.3818,
            "train_loss_last_epoch": 0.9331,
            "steps": 290,
            "parameters": 1_340_650,
        },
        architecture="conv_block_cnn",
        dataset="imagenette",
        parameters=1_340_650,
        max_steps=290,
        **REPORT_E,
    ),
    _ALL_CNN,
    _ALL_CNN.variant(
        "all_cnn_batch_norm-imagenette",
        remark=BATCH_NORM_REMARK,
        title="AllCNN with batch normalisation",
        **BATCH_NORM,
    ),
    _ALL_CNN.variant(
        "all_cnn_20_epochs-imagenette",
        remark="Without limits on steps and minutes, to show how many steps the reported accuracy takes here.",
        title="AllCNN without a limit on steps or minutes",
        reported={},
        max_steps=None,
        max_minutes=None,
    ),
    _REGULARIZED,
    _REGULARIZED.variant(
        "all_cnn_regularized_batch_norm-imagenette",
        remark=f"{BATCH_NORM_REMARK} Ends after as many steps as the network without regularisation.",
        title="AllCNN with batch normalisation, more dropout and augmentation",
        architecture_arguments={**_REGULARIZED.architecture_arguments, "batch_norm": True},
        parameters=1_148_618,
        max_steps=226,
    ),
    _REGULARIZED.variant(
        "all_cnn_regularized_20_epochs-imagenette",
        remark="The same without the limit of 30 minutes, to show the result of all 20 epochs.",
        title="AllCNN with more dropout and augmentation, without a limit on minutes",
        reported={},
        max_minutes=None,
    ),
)
