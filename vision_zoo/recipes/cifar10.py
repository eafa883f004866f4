"""Published experiments on CIFAR-10, in colour (report A) and in grayscale (report E)."""

from typing import Any

from vision_zoo.architectures import IMAGENET_MEAN, IMAGENET_STD
from vision_zoo.recipes.imagenette import REPORT_E
from vision_zoo.recipes.recipe import Recipe

_REPORT_A: dict[str, Any] = {"dataset": "cifar10", "epochs": 10, "batch_size": 128, "test_curve": True}
_TO_ONE: dict[str, Any] = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}  # pixels to [-1, 1]

RECIPES = (
    Recipe(
        name="simple_cnn-cifar10",
        remark="The value in the epoch log of the report; its abstract says 72 %.",
        title="CNN against patch-LSTM: the CNN",
        report="A",
        reported={"test_accuracy": 0.7104},
        architecture="simple_cnn",
        parameters=545_098,
        **_REPORT_A,
        **_TO_ONE,
    ),
    Recipe(
        name="alexnet_finetuned-cifar10",
        remark=(
            "The report's abstract says 75 %, its table 86.64 %. Read as one dense layer on the 9,216 frozen "
            "features of a 224 x 224 image; their activations are computed once."
        ),
        title="CNN against patch-LSTM: AlexNet with frozen ImageNet features",
        report="A",
        reported={"test_accuracy": 0.8664, "train_seconds": 1153.66, "inference_seconds": 17.59},
        architecture="alexnet_finetuned",
        parameters=2_561_866,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        pretrained="alexnet-imagenet1k-features",
        frozen=True,
        **_REPORT_A,
    ),
    Recipe(
        name="alexnet_three_layers-cifar10",
        companion_of="alexnet_finetuned-cifar10",
        remark="torchvision's three dense layers with dropout, all trained: its published ones need the full weights.",
        title="AlexNet with frozen ImageNet features and three dense layers",
        architecture="alexnet_finetuned",
        architecture_arguments={"full_classifier": True},
        parameters=57_044_810,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        pretrained="alexnet-imagenet1k-features",
        frozen=True,
        **_REPORT_A,
    ),
    Recipe(
        name="patch_lstm-cifar10",
        remark="Softmax before cross-entropy, as printed.",
        title="CNN against patch-LSTM: the LSTM, with the report's softmax before cross-entropy",
        report="A",
        reported={"test_accuracy": 0.4820, "train_seconds": 140.72, "inference_seconds": 2.28},
        architecture="patch_lstm",
        softmax_before_loss=True,
        parameters=166_154,
        **_REPORT_A,
        **_TO_ONE,
    ),
    Recipe(
        name="patch_lstm_logits-cifar10",
        companion_of="patch_lstm-cifar10",
        title="The patch-LSTM corrected: cross-entropy on logits",
        architecture="patch_lstm",
        parameters=166_154,
        **_REPORT_A,
        **_TO_ONE,
    ),
    Recipe(
        name="all_cnn-cifar10_gray",
        remark="20 epochs are 7,040 steps; 30 minutes end it earlier on two cores.",
        title="Regularisation and transfer: AllCNN from scratch on grayscale CIFAR-10",
        report="E",
        reported={"test_accuracy": 0.7218, "test_loss": 0.80},
        architecture="all_cnn",
        dataset="cifar10-gray",
        parameters=1_146_826,
        **REPORT_E,
    ),
    Recipe(
        name="all_cnn_transfer-cifar10_gray",
        remark="The frozen layers keep their dropout switched off, so that their activations are computed once.",
        title="Regularisation and transfer: Imagenette's convolutions frozen, a new head on grayscale CIFAR-10",
        report="E",
        reported={"test_accuracy": 0.4944, "validation_accuracy": 0.495, "test_loss": 1.426},
        architecture="all_cnn",
        dataset="cifar10-gray",
        parameters=1_146_826,
        transfer_from="all_cnn-imagenette",
        frozen=True,
        **REPORT_E,
    ),
    Recipe(
        name="all_cnn_transfer_20_epochs-cifar10_gray",
        companion_of="all_cnn_transfer-cifar10_gray",
        remark="The same transfer from the uncapped Imagenette run: how much of the gap is the source's training.",
        title="Transfer from AllCNN trained for 20 epochs",
        architecture="all_cnn",
        dataset="cifar10-gray",
        parameters=1_146_826,
        transfer_from="all_cnn_20_epochs-imagenette",
        frozen=True,
        **REPORT_E,
    ),
)
