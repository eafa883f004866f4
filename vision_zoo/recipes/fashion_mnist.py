"""Published experiments of report C on Fashion-MNIST."""

from typing import Any

from vision_zoo.recipes.recipe import Augmentation, Recipe

_REPORT_C: dict[str, Any] = {
    "dataset": "fashion-mnist",
    "mean": (0.5,),
    "std": (0.5,),
    "batch_size": 64,
    "test_curve": True,
}
_AUGMENTATION = Augmentation(rotation=10, horizontal_flip=0.5, interpolation="nearest")
_AS_THEY_ARE = (
    "The report does not say which networks were trained with augmentation; this one is trained without."
)
_SLOW_DECAY = (
    "The report states no gamma; with 0.5 instead of 0.1, the learning rate is halved instead of divided by ten "
    "after every third of the epochs."
)
_ONE_STEP = "The report states no step; after 10 epochs, as for LeNet, the learning rate is divided by ten."

_SMALL_ALEXNET = Recipe(
    name="small_alexnet-fashion_mnist",
    remark=(
        "StepLR is interpreted as a step after every third of the epochs (6) with gamma 0.1; dropout, printed "
        "without a rate, as 0.5."
    ),
    title="LeNet, small AlexNet, custom CNN: AlexNet for 28 x 28 images",
    report="C",
    reported={"test_accuracy": 0.912},
    architecture="small_alexnet",
    parameters=2_780_298,
    learning_rate=0.001,
    epochs=20,
    step_epochs=6,
    augmentation=_AUGMENTATION,
    **_REPORT_C,
)
_CUSTOM_CNN: dict[str, Any] = {
    **_REPORT_C,
    "architecture": "bn_cnn",
    "epochs": 15,
    "step_epochs": 5,
    "augmentation": _AUGMENTATION,
}
_NO_BATCH_NORM: dict[str, Any] = {
    **_CUSTOM_CNN,
    "architecture_arguments": {"batch_norm": False},
    "parameters": 4_458_442,
}
_BN_CNN = Recipe(
    name="bn_cnn-fashion_mnist",
    remark=(
        "StepLR is interpreted as a step after every third of the epochs with gamma 0.1; dropout, printed without a "
        "rate, as 0.5."
    ),
    title="LeNet, small AlexNet, custom CNN: batch normalisation",
    report="C",
    reported={"test_accuracy": 0.933},
    parameters=4_458_826,
    learning_rate=0.003,
    **_CUSTOM_CNN,
)
_WITHOUT_BN = Recipe(
    name="bn_cnn_without_bn-fashion_mnist",
    remark="The report calls its loss erratic.",
    title="LeNet, small AlexNet, custom CNN: batch normalisation removed, nothing else changed",
    report="C",
    reported={"test_accuracy": 0.869},
    learning_rate=0.003,
    **_NO_BATCH_NORM,
)
_LOW_RATE = Recipe(
    name="bn_cnn_without_bn_low_lr-fashion_mnist",
    title="LeNet, small AlexNet, custom CNN: without batch normalisation, at a suitable learning rate",
    report="C",
    reported={"test_accuracy": 0.926},
    learning_rate=0.001,
    **_NO_BATCH_NORM,
)

RECIPES = (
    Recipe(
        name="lenet-fashion_mnist",
        remark="StepLR is interpreted as a step after every third of the epochs with gamma 0.1; no augmentation.",
        title="LeNet, small AlexNet, custom CNN: LeNet",
        report="C",
        reported={"test_accuracy": 0.899},
        architecture="lenet",
        parameters=61_706,
        learning_rate=0.005,
        epochs=30,
        step_epochs=10,
        **_REPORT_C,
    ),
    _SMALL_ALEXNET,
    _SMALL_ALEXNET.variant(
        "small_alexnet_without_augmentation-fashion_mnist",
        remark=_AS_THEY_ARE,
        title="AlexNet for 28 x 28 images, without augmentation",
        augmentation=None,
    ),
    _SMALL_ALEXNET.variant(
        "small_alexnet_without_augmentation_slow_decay-fashion_mnist",
        remark=f"{_AS_THEY_ARE} {_SLOW_DECAY}",
        title="AlexNet for 28 x 28 images, without augmentation, with a slower decay of the learning rate",
        augmentation=None,
        gamma=0.5,
    ),
    _BN_CNN,
    _BN_CNN.variant(
        "bn_cnn_slow_decay-fashion_mnist",
        remark=_SLOW_DECAY,
        title="The custom CNN with batch normalisation and a slower decay of the learning rate",
        gamma=0.5,
    ),
    _BN_CNN.variant(
        "bn_cnn_without_augmentation-fashion_mnist",
        remark=_AS_THEY_ARE,
        title="The custom CNN with batch normalisation, without augmentation",
        augmentation=None,
    ),
    _BN_CNN.variant(
        "bn_cnn_without_augmentation_slow_decay-fashion_mnist",
        remark=f"{_AS_THEY_ARE} {_SLOW_DECAY}",
        title="The custom CNN without augmentation, with a slower decay of the learning rate",
        augmentation=None,
        gamma=0.5,
    ),
    _BN_CNN.variant(
        "bn_cnn_without_augmentation_step_10-fashion_mnist",
        remark=f"{_AS_THEY_ARE} {_ONE_STEP}",
        title="The custom CNN without augmentation, with one step of the learning rate, after 10 epochs",
        augmentation=None,
        step_epochs=10,
    ),
    _WITHOUT_BN,
    _WITHOUT_BN.variant(
        "bn_cnn_without_bn_without_augmentation-fashion_mnist",
        remark=_AS_THEY_ARE,
        title="The custom CNN without batch normalisation, without augmentation",
        augmentation=None,
    ),
    _LOW_RATE,
    _LOW_RATE.variant(
        "bn_cnn_without_bn_low_lr_without_augmentation-fashion_mnist",
        remark=_AS_THEY_ARE,
        title="The custom CNN without batch normalisation at a lower rate, without augmentation",
        augmentation=None,
    ),
    _LOW_RATE.variant(
        "bn_cnn_without_bn_low_lr_without_augmentation_slow_decay-fashion_mnist",
        remark=f"{_AS_THEY_ARE} {_SLOW_DECAY}",
        title="The custom CNN without batch normalisation at a lower rate that decays more slowly, without "
        "augmentation",
        augmentation=None,
        gamma=0.5,
    ),
    Recipe(
        name="simple_cnn-fashion_mnist",
        title="SimpleCNN with the settings of its MNIST experiment; not from a report",
        architecture="simple_cnn",
        parameters=421_642,
        epochs=10,
        **{**_REPORT_C, "batch_size": 128},
    ),
)
