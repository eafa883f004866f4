"""Published experiments on MNIST, from reports A, B and D, and corrected variants."""

from typing import Any

from vision_zoo.recipes.recipe import Augmentation, Recipe

_REPORT_A: dict[str, Any] = {"dataset": "mnist", "epochs": 10, "batch_size": 128, "test_curve": True}
_REPORT_B: dict[str, Any] = {"dataset": "mnist", "epochs": 25, "patience": 3, "validation_fraction": 1 / 6}
_REPORT_D: dict[str, Any] = {"dataset": "mnist", "batch_size": 64, "test_curve": True}
_TO_ONE: dict[str, Any] = {"mean": (0.5,), "std": (0.5,)}  # pixels to [-1, 1]
_STANDARDIZED: dict[str, Any] = {"mean": (0.1307,), "std": (0.3081,)}  # mean 0, standard deviation 1
_VIT_TEST = (0.9502, 0.9682, 0.9765, 0.9860, 0.9877, 0.9874, 0.9886, 0.9891, 0.9892, 0.9890)
_VIT_TRAIN = (0.7661, 0.9117, 0.9316, 0.9570, 0.9652, 0.9667, 0.9691, 0.9683, 0.9704, 0.9695)
_VIT_LOSS = (0.6988, 0.2802, 0.2161, 0.1346, 0.1121, 0.1058, 0.1014, 0.0993, 0.0961, 0.0959)


def _epochs(measure: str, *values: float) -> dict[str, float]:
    """Figures that a report prints for every epoch."""
    return {f"{measure}_epoch_{epoch}": value for epoch, value in enumerate(values, start=1)}


_SIMPLE_CNN = Recipe(
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
)
_ALEXNET = Recipe(
    name="alexnet_finetuned-mnist",
    remark=(
        "Interpreted as torchvision's three dense layers, all trained on the frozen features of a 224 x 224 image, "
        "which are computed once. The first two dense layers start from random weights, since only the feature "
        "layers' weights are available everywhere."
    ),
    title="CNN against patch-LSTM: AlexNet with frozen ImageNet features",
    report="A",
    reported={"test_accuracy": 0.9906, "train_seconds": 1313.15, "inference_seconds": 16.98},
    architecture="alexnet_finetuned",
    architecture_arguments={"full_classifier": True},
    parameters=57_044_810,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    pretrained="alexnet-imagenet1k-features",
    frozen=True,
    **_REPORT_A,
)
_PATCH_LSTM = Recipe(
    name="patch_lstm-mnist",
    remark=(
        "The report's losses flatten at 1.46 = ln(e + 9) - 1: softmax was applied before cross-entropy, as it is here."
    ),
    title="CNN against patch-LSTM: the LSTM, with the report's softmax before cross-entropy",
    report="A",
    reported={"test_accuracy": 0.9649, "train_seconds": 137.79, "inference_seconds": 1.82},
    architecture="patch_lstm",
    softmax_before_loss=True,
    parameters=92_938,
    **_REPORT_A,
    **_TO_ONE,
)
_SMALL_CNN = Recipe(
    name="small_cnn-mnist",
    remark="Pixels scaled to [-1, 1]; 50,000 images for training and 10,000 for validation, drawn anew for every seed.",
    title="CNN against row-LSTM: the CNN",
    report="B",
    reported={
        "test_accuracy": 0.9863,
        "validation_accuracy": 0.9835,
        "train_accuracy": 0.9897,
        "mean_accuracy": 0.9865,
        # Sums over batches: of 128 images in training, of 1,000 elsewhere.
        "test_loss_total": 0.435,
        "validation_loss_total": 0.498,
        "train_loss_total": 12.664,
        "test_loss": 0.435 / 10,
        "validation_loss": 0.498 / 10,
        "train_loss": 12.664 / 391,
        "best_epoch": 7,
        "epochs": 10,
    },
    architecture="small_cnn",
    parameters=9_098,
    batch_size=128,
    **_REPORT_B,
    **_TO_ONE,
)
_BASIC_CNN = Recipe(
    name="basic_cnn-mnist",
    remark="Interpreted as 32 filters, 128 dense units and plain SGD without momentum.",
    title="Four small networks: one convolution, plain SGD",
    report="D",
    reported={
        "test_accuracy": 0.9491,
        **_epochs("test_accuracy", 0.9158, 0.9516, 0.9491),
        **_epochs("train_accuracy", 0.8269, 0.9330, 0.9530),
        **_epochs("train_loss", 0.6602, 0.2304, 0.1610),
    },
    architecture="basic_cnn",
    parameters=804_554,
    optimizer="sgd",
    learning_rate=0.01,
    epochs=3,
    **_REPORT_D,
    **_TO_ONE,
)
_OPTIMIZED_CNN = Recipe(
    name="optimized_cnn-mnist",
    remark=(
        "Flip and rotation are interpreted as a horizontal flip with probability 0.5 and rotations of up to 10 "
        "degrees."
    ),
    title="Four small networks: SimpleCNN with flips and rotations, as printed",
    report="D",
    reported={
        "test_accuracy": 0.9895,
        **_epochs("test_accuracy", 0.9846, 0.9865, 0.9881, 0.9855, 0.9895),
        **_epochs("train_accuracy", 0.9512, 0.9860, 0.9905, 0.9934, 0.9947),
        **_epochs("train_loss", 0.1593, 0.0449, 0.0311, 0.0216, 0.0167),
    },
    architecture="simple_cnn",
    parameters=421_642,
    epochs=5,
    augmentation=Augmentation(rotation=10, horizontal_flip=0.5, interpolation="nearest"),
    **_REPORT_D,
    **_TO_ONE,
)
_VIT = Recipe(
    name="vit-mnist",
    remark="The report does not say how pixels are scaled; interpreted as [-1, 1].",
    title="Four small networks: a vision transformer",
    report="D",
    reported={
        "test_accuracy": 0.9890,
        **_epochs("test_accuracy", *_VIT_TEST),
        **_epochs("train_accuracy", *_VIT_TRAIN),
        **_epochs("train_loss", *_VIT_LOSS),
    },
    architecture="vit",
    parameters=803_338,
    optimizer="adamw",
    weight_decay=1e-4,
    step_epochs=3,
    epochs=10,
    **_REPORT_D,
    **_TO_ONE,
)

RECIPES = (
    _SIMPLE_CNN,
    _SIMPLE_CNN.variant(
        "simple_cnn_bf16-mnist",
        remark=(
            "Convolutions and dense layers in bfloat16, which is faster only on CPUs and GPUs with bfloat16 arithmetic."
        ),
        title="The same CNN in bfloat16: what it costs and what it saves",
        reported={},
        precision="bf16",
    ),
    _ALEXNET,
    _ALEXNET.variant(
        "alexnet_published_classifier-mnist",
        remark="Needs all of torchvision's AlexNet weights, which torchvision downloads.",
        title="AlexNet with frozen ImageNet features, its dense layers trained from their published weights",
        pretrained="alexnet-imagenet1k",
    ),
    _ALEXNET.variant(
        "alexnet_one_layer-mnist",
        title="One dense layer on AlexNet's frozen ImageNet features",
        reported={},
        architecture_arguments={},
        parameters=2_561_866,
    ),
    _PATCH_LSTM,
    _PATCH_LSTM.variant(
        "patch_lstm_logits-mnist",
        title="The patch-LSTM corrected: cross-entropy on logits",
        reported={},
        softmax_before_loss=False,
    ),
    _SMALL_CNN,
    _SMALL_CNN.variant(
        "small_cnn_standardized-mnist",
        remark=(
            "The report does not say how pixels are scaled; its early validation accuracies match standardized "
            "pixels."
        ),
        title="The CNN of report B on standardized pixels",
        **_STANDARDIZED,
    ),
    Recipe(
        name="row_lstm-mnist",
        title="CNN against row-LSTM: the LSTM",
        report="B",
        reported={
            "test_accuracy": 0.9874,
            "validation_accuracy": 0.9888,
            "train_accuracy": 0.9957,
            "mean_accuracy": 0.9906,
            # Sums over batches, of 64 images in training.
            "test_loss_total": 0.457,
            "validation_loss_total": 0.481,
            "train_loss_total": 5.450,
            "test_loss": 0.457 / 10,
            "validation_loss": 0.481 / 10,
            "train_loss": 5.450 / 782,
            "best_epoch": 12,
            "epochs": 15,
        },
        architecture="row_lstm",
        parameters=214_282,
        batch_size=64,
        **_REPORT_B,
        **_TO_ONE,
    ),
    _BASIC_CNN,
    _BASIC_CNN.variant(
        "basic_cnn_16_filters-mnist",
        remark="The report states no sizes; the loss of its first epoch is closer to that of this network.",
        title="One convolution of 16 filters of 5 x 5 pixels, plain SGD",
        architecture_arguments={"filters": 16, "kernel_size": 5},
        parameters=403_242,
    ),
    _OPTIMIZED_CNN,
    _OPTIMIZED_CNN.variant(
        "optimized_cnn_without_augmentation-mnist",
        remark="The report's text says flip and rotation; its training losses match training without augmentation.",
        title="The optimized CNN without augmentation",
        augmentation=None,
    ),
    _OPTIMIZED_CNN.variant(
        "optimized_cnn_without_flip-mnist",
        title="The optimized CNN corrected: digits are rotated, not mirrored",
        reported={},
        augmentation=Augmentation(rotation=10, interpolation="nearest"),
    ),
    Recipe(
        name="mobilenet-mnist",
        title="Four small networks: depthwise-separable convolutions",
        report="D",
        reported={
            "test_accuracy": 0.9888,
            **_epochs("test_accuracy", 0.9784, 0.9866, 0.9841, 0.9896, 0.9888),
            **_epochs("train_accuracy", 0.9489, 0.9877, 0.9905, 0.9925, 0.9938),
            **_epochs("train_loss", 0.1980, 0.0413, 0.0297, 0.0241, 0.0202),
        },
        architecture="mobilenet",
        parameters=136_458,
        epochs=5,
        **_REPORT_D,
        **_TO_ONE,
    ),
    _VIT,
    _VIT.variant(
        "vit_augmented-mnist",
        remark=(
            "The report lists no augmentation, but its training accuracy stays below its test accuracy; interpreted "
            "as torchvision's RandomAffine with 10 degrees and a tenth of the side."
        ),
        title="The vision transformer on rotated and shifted digits",
        augmentation=Augmentation(rotation=10, translate=0.1, interpolation="nearest"),
    ),
    _VIT.variant(
        "vit_standardized-mnist",
        remark="Pixels standardized to mean 0 and standard deviation 1 with the statistics of MNIST.",
        title="The vision transformer on standardized pixels",
        **_STANDARDIZED,
    ),
)
