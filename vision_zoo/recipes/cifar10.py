"""Published experiments on CIFAR-10, in colour (report A) and in grayscale (report E)."""

from typing import Any

from vision_zoo.recipes.imagenette import BATCH_NORM, BATCH_NORM_REMARK, REPORT_E
from vision_zoo.recipes.recipe import Recipe

_REPORT_A: dict[str, Any] = {
    "dataset": "cifar10",
    "epochs": 10,
    "batch_size": 128,
    "test_curve": True,
    "mean": (0.5, 0.5, 0.5),  # pixels to [-1, 1]
    "std": (0.5, 0.5, 0.5),
}

_SIMPLE_CNN = Recipe(
    name="simple_cnn-cifar10",
    remark="The value is from the report's epoch log; its abstract says 72 %.",
    title="CNN against patch-LSTM: the CNN",
    report="A",
    reported={
        "test_accuracy": 0.7104,
        "test_accuracy_in_abstract": 0.72,
        "train_accuracy_epoch_1": 0.9565,
        "test_loss_epoch_1": 1.41,
    },
    architecture="simple_cnn",
    parameters=545_098,
    **_REPORT_A,
)
_ALEXNET = Recipe(
    name="alexnet_finetuned-cifar10",
    remark=(
        "Interpreted as torchvision's three dense layers, all trained on the frozen features of a 224 x 224 image, "
        "which are computed once. The first two dense layers start from random weights, since only the feature "
        "layers' weights are available everywhere."
    ),
    title="CNN against patch-LSTM: AlexNet with frozen ImageNet features",
    report="A",
    reported={
        "test_accuracy": 0.8664,
        "test_accuracy_in_abstract": 0.75,
        "test_accuracy_epoch_1": 0.8082,
        "train_accuracy_epoch_1": 0.7462,
        "train_seconds": 1153.66,
        "inference_seconds": 17.59,
    },
    architecture="alexnet_finetuned",
    architecture_arguments={"full_classifier": True},
    parameters=57_044_810,
    pretrained="alexnet-imagenet1k-features",
    frozen=True,
    **_REPORT_A,
)
_PATCH_LSTM = Recipe(
    name="patch_lstm-cifar10",
    remark="Softmax before cross-entropy, as printed.",
    title="CNN against patch-LSTM: the LSTM, with the report's softmax before cross-entropy",
    report="A",
    reported={"test_accuracy": 0.4820, "train_seconds": 140.72, "inference_seconds": 2.28},
    architecture="patch_lstm",
    softmax_before_loss=True,
    parameters=166_154,
    **_REPORT_A,
)
_FROM_SCRATCH = Recipe(
    name="all_cnn-cifar10_gray",
    remark="20 epochs are 7,040 steps; a slow machine ends at the limit of 30 minutes.",
    title="Regularisation and transfer: AllCNN from scratch on grayscale CIFAR-10",
    report="E",
    reported={"test_accuracy": 0.7218, "test_loss": 0.80},
    architecture="all_cnn",
    dataset="cifar10-gray",
    parameters=1_146_826,
    **REPORT_E,
)
_TRANSFER = Recipe(
    name="all_cnn_transfer-cifar10_gray",
    remark="Dropout in the frozen layers stays on, since the report's training loss is above its validation loss.",
    title="Regularisation and transfer: Imagenette's convolutions frozen, a new head on grayscale CIFAR-10",
    report="E",
    reported={
        "test_accuracy": 0.4944,
        "validation_accuracy": 0.495,
        "test_loss": 1.426,
        "validation_loss": 1.41,
        "train_loss_last_epoch": 1.49,
    },
    architecture="all_cnn",
    dataset="cifar10-gray",
    parameters=1_146_826,
    transfer_from="all_cnn-imagenette",
    frozen=True,
    frozen_dropout=True,
    **REPORT_E,
)

_FINE_TUNED = Recipe(
    name="efficientnet_lite0_fine_tuned-cifar10",
    title="EfficientNet-Lite0 with ImageNet weights, fine-tuned",
    remark=(
        "A modern recipe, not from a report. ImageNet contains some classes of CIFAR-10. The weights are under "
        "Apache-2.0. It takes three quarters of an hour on two cores that compute in bfloat16."
    ),
    architecture="efficientnet_lite0",
    architecture_arguments={"resolution": 128},
    dataset="cifar10",
    parameters=3_383_818,
    pretrained="efficientnet-lite0-imagenet1k",
    frozen=True,
    fine_tune="all",
    mean=(127 / 255,) * 3,
    std=(128 / 255,) * 3,
    epochs=15,
    batch_size=64,
    optimizer="adamw",
    learning_rate=1e-3,
    feature_lr_factor=0.5,
    weight_decay=0.02,
    precision="bf16",
    schedule="one_cycle",
    warmup_fraction=0.1,
    label_smoothing=0.1,
    augmentation={"shift": 4, "horizontal_flip": 0.5, "cutout": 8},
    test_time_flip=True,
)

RECIPES = (
    _FINE_TUNED,
    _SIMPLE_CNN,
    _SIMPLE_CNN.variant(
        "simple_cnn_30_epochs-cifar10",
        remark=(
            "The first epoch printed in the report has a training accuracy of 95.65 %, so the network was already "
            "trained; interpreted as the last ten of 30 epochs."
        ),
        title="The CNN of report A, trained three times as long",
        reported={
            "test_accuracy": 0.7104,
            "train_accuracy_epoch_21": 0.9565,
            "test_loss_epoch_21": 1.41,
            "test_accuracy_epoch_30": 0.7104,
        },
        epochs=30,
    ),
    _ALEXNET,
    _ALEXNET.variant(
        "alexnet_published_classifier-cifar10",
        remark="Needs all of torchvision's AlexNet weights, which torchvision downloads.",
        title="AlexNet with frozen ImageNet features, its dense layers trained from their published weights",
        pretrained="alexnet-imagenet1k",
    ),
    _ALEXNET.variant(
        "alexnet_one_layer-cifar10",
        remark="The report's abstract says 75 %; interpreted as one dense layer on the 9,216 frozen features.",
        title="One dense layer on AlexNet's frozen ImageNet features",
        reported={"test_accuracy": 0.75},
        architecture_arguments={},
        parameters=2_561_866,
    ),
    _PATCH_LSTM,
    _PATCH_LSTM.variant(
        "patch_lstm_logits-cifar10",
        title="The patch-LSTM corrected: cross-entropy on logits",
        reported={},
        softmax_before_loss=False,
    ),
    _FROM_SCRATCH,
    _FROM_SCRATCH.variant(
        "all_cnn_batch_norm-cifar10_gray",
        remark=(
            f"{BATCH_NORM_REMARK} Ends after 900 steps, about as many as the report's 30 minutes allowed at 32 x 32 "
            "pixels."
        ),
        title="AllCNN with batch normalisation from scratch on grayscale CIFAR-10",
        max_steps=900,
        **BATCH_NORM,
    ),
    _TRANSFER,
    _TRANSFER.variant(
        "all_cnn_transfer_batch_norm-cifar10_gray",
        remark=BATCH_NORM_REMARK,
        title="Transfer from AllCNN with batch normalisation",
        transfer_from="all_cnn_batch_norm-imagenette",
        **BATCH_NORM,
    ),
    _TRANSFER.variant(
        "all_cnn_transfer_20_epochs-cifar10_gray",
        remark=(
            "The same transfer from the Imagenette run without limits on steps and minutes, to show how much of the "
            "gap is due to the training of the source."
        ),
        title="Transfer from AllCNN trained for 20 epochs",
        reported={},
        transfer_from="all_cnn_20_epochs-imagenette",
    ),
)
