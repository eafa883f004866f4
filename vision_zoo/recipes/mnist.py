"""Published experiments on MNIST, from reports A, B and D, and corrected variants."""

from typing import Any

from vision_zoo.architectures import IMAGENET_MEAN, IMAGENET_STD
from vision_zoo.recipes.recipe import Augmentation, Recipe

_REPORT_A: dict[str, Any] = {"dataset": "mnist", "epochs": 10, "batch_size": 128, "test_curve": True}
_REPORT_B: dict[str, Any] = {"dataset": "mnist", "epochs": 25, "patience": 3, "validation_fraction": 1 / 6}
_REPORT_D: dict[str, Any] = {"dataset": "mnist", "batch_size": 64, "test_curve": True}
_TO_ONE: dict[str, Any] = {"mean": (0.5,), "std": (0.5,)}  # pixels to [-1, 1]


def _epochs(measure: str, *values: float) -> dict[str, float]:
    """Figures that a report prints for every epoch."""
    return {f"{measure}_epoch_{epoch}": value for epoch, value in enumerate(values, start=1)}


RECIPES = (
    Recipe(
        name="simple_cnn-mnist",
        title="CNN against patch-LSTM: the CNN",
        report="A",
        reported={
            "test_accuracy": 0.9903,
            "test_accuracy_epoch_10": 0.9899,
            "train_seconds": 121.72,
            "inference_seconds": 1.75,
        },
        architecture="simple_cnn",
        parameters=421_642,
        **_REPORT_A,
        **_TO_ONE,
    ),
    Recipe(
        name="simple_cnn_bf16-mnist",
        companion_of="simple_cnn-mnist",
        remark=(
            "Convolutions and dense layers in bfloat16, which takes less time only on processors and GPUs that "
            "multiply it."
        ),
        title="The same CNN in half the precision: what it costs and what it saves",
        precision="bf16",
        architecture="simple_cnn",
        parameters=421_642,
        **_REPORT_A,
        **_TO_ONE,
    ),
    Recipe(
        name="alexnet_finetuned-mnist",
        remark=(
            "Read as one dense layer on the 9,216 frozen features of a 224 x 224 image; their activations "
            "are computed once."
        ),
        title="CNN against patch-LSTM: AlexNet with frozen ImageNet features",
        report="A",
        reported={"test_accuracy": 0.9906, "train_seconds": 1313.15, "inference_seconds": 16.98},
        architecture="alexnet_finetuned",
        parameters=2_561_866,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        pretrained="alexnet-imagenet1k-features",
        frozen=True,
        **_REPORT_A,
    ),
    Recipe(
        name="patch_lstm-mnist",
        remark=(
            "The report's losses flatten at 1.46 = ln(e + 9) - 1: softmax was applied before cross-entropy, "
            "and it is here."
        ),
        title="CNN against patch-LSTM: the LSTM, with the report's softmax before cross-entropy",
        report="A",
        reported={"test_accuracy": 0.9649, "train_seconds": 137.79, "inference_seconds": 1.82},
        architecture="patch_lstm",
        softmax_before_loss=True,
        parameters=92_938,
        **_REPORT_A,
        **_TO_ONE,
    ),
    Recipe(
        name="patch_lstm_logits-mnist",
        companion_of="patch_lstm-mnist",
        title="The patch-LSTM corrected: cross-entropy on logits",
        architecture="patch_lstm",
        parameters=92_938,
        **_REPORT_A,
        **_TO_ONE,
    ),
    Recipe(
        name="small_cnn-mnist",
        remark="Pixels to [-1, 1]; 50,000 / 10,000 images for training / validation, drawn anew by every seed.",
        title="CNN against row-LSTM: the CNN",
        report="B",
        reported={
            "test_accuracy": 0.9863,
            "validation_accuracy": 0.9835,
            "train_accuracy": 0.9897,
            "best_epoch": 7,
            "epochs": 10,
        },
        architecture="small_cnn",
        parameters=9_098,
        batch_size=128,
        **_REPORT_B,
        **_TO_ONE,
    ),
    Recipe(
        name="row_lstm-mnist",
        title="CNN against row-LSTM: the LSTM",
        report="B",
        reported={
            "test_accuracy": 0.9874,
            "validation_accuracy": 0.9888,
            "train_accuracy": 0.9957,
            "best_epoch": 12,
            "epochs": 15,
        },
        architecture="row_lstm",
        parameters=214_282,
        batch_size=64,
        **_REPORT_B,
        **_TO_ONE,
    ),
    Recipe(
        name="basic_cnn-mnist",
        remark="Read as 32 filters, 128 dense units and plain SGD without momentum.",
        title="Four small networks: one convolution, plain SGD",
        report="D",
        reported={
            "test_accuracy": 0.9491,
            **_epochs("test_accuracy", 0.9158, 0.9516, 0.9491),
            **_epochs("train_loss", 0.6602, 0.2304, 0.1610),
        },
        architecture="basic_cnn",
        parameters=804_554,
        optimizer="sgd",
        learning_rate=0.01,
        epochs=3,
        **_REPORT_D,
        **_TO_ONE,
    ),
    Recipe(
        name="optimized_cnn-mnist",
        remark="Flip and rotation are read as a horizontal flip of every second image and up to 10 degrees.",
        title="Four small networks: SimpleCNN with flips and rotations, as printed",
        report="D",
        reported={
            "test_accuracy": 0.9895,
            **_epochs("test_accuracy", 0.9846, 0.9865, 0.9881, 0.9855, 0.9895),
        },
        architecture="simple_cnn",
        parameters=421_642,
        epochs=5,
        augmentation=Augmentation(rotation=10, horizontal_flip=0.5),
        **_REPORT_D,
        **_TO_ONE,
    ),
    Recipe(
        name="optimized_cnn_without_flip-mnist",
        companion_of="optimized_cnn-mnist",
        title="The optimized CNN corrected: digits are rotated, not mirrored",
        architecture="simple_cnn",
        parameters=421_642,
        epochs=5,
        augmentation=Augmentation(rotation=10),
        **_REPORT_D,
        **_TO_ONE,
    ),
    Recipe(
        name="mobilenet-mnist",
        title="Four small networks: depthwise-separable convolutions",
        report="D",
        reported={
            "test_accuracy": 0.9888,
            **_epochs("test_accuracy", 0.9784, 0.9866, 0.9841, 0.9896, 0.9888),
        },
        architecture="mobilenet",
        parameters=136_458,
        epochs=5,
        **_REPORT_D,
        **_TO_ONE,
    ),
    Recipe(
        name="vit-mnist",
        remark="The report does not say how pixels are scaled; read as to [-1, 1].",
        title="Four small networks: a vision transformer",
        report="D",
        reported={
            "test_accuracy": 0.9890,
            **_epochs(
                "test_accuracy",
                0.9502,
                0.9682,
                0.9765,
                0.9860,
                0.9877,
                0.9874,
                0.9886,
                0.9891,
                0.9892,
                0.9890,
            ),
        },
        architecture="vit",
        parameters=803_338,
        optimizer="adamw",
        weight_decay=1e-4,
        step_epochs=3,
        epochs=10,
        **_REPORT_D,
        **_TO_ONE,
    ),
    Recipe(
        name="vit_standardized-mnist",
        companion_of="vit-mnist",
        remark="Pixels with mean 0 and standard deviation 1, with the statistics of MNIST.",
        title="The vision transformer on standardized pixels",
        architecture="vit",
        parameters=803_338,
        optimizer="adamw",
        weight_decay=1e-4,
        step_epochs=3,
        epochs=10,
        mean=(0.1307,),
        std=(0.3081,),
        **_REPORT_D,
    ),
)
