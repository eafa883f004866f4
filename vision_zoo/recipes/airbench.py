"""Modern recipes: one per dataset, with techniques for short training.

Airbench's network and most of its settings (K. Jordan, https://arxiv.org/abs/2404.00498), with more epochs. Convolutions
compute in bfloat16: half the time of single precision on processors that have it.
"""

from typing import Any

from vision_zoo.recipes.recipe import Augmentation, Recipe

_SETTINGS: dict[str, Any] = {
    "architecture": "airbench",
    "optimizer": "sgd",
    "momentum": 0.85,
    "weight_decay": 0.00133,
    "batch_size": 500,
    "learning_rate": 0.73,
    "schedule": "one_cycle",
    "precision": "bf16",
}

_CIFAR10 = Recipe(
    name="airbench-cifar10",
    title="A modern small network: CIFAR-10",
    dataset="cifar10",
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    architecture_arguments={"widths": [64, 256, 256]},
    parameters=1_972_792,
    epochs=24,
    label_smoothing=0.2,
    augmentation=Augmentation(shift=2, horizontal_flip=0.5),
    test_time_flip=True,
    **_SETTINGS,
)

_REGULARISED: dict[str, Any] = {
    "bias_lr_factor": 64.0,
    "augmentation": Augmentation(shift=2, horizontal_flip=0.5, cutout=12),
}

_SMALL_CIFAR10 = _CIFAR10.override(
    name="airbench_small-cifar10",
    title="A modern small network: CIFAR-10, narrow, in few epochs",
    architecture_arguments={"widths": [32, 64, 64]},
    parameters=146_744,
    epochs=8,
    bias_lr_factor=64.0,
    precision="fp32",
)

_MUON: dict[str, Any] = {
    "optimizer": "muon",
    "muon_learning_rate": 0.15,
    "momentum": 0.6,
    "learning_rate": 1.1,
    "bias_lr_factor": 64.0,
    "weight_decay": 0.0024,
    "warmup_fraction": 0.1,
}

RECIPES = (
    Recipe(
        name="airbench-mnist",
        title="A modern small network: MNIST",
        dataset="mnist",
        mean=(0.1307,),
        std=(0.3081,),
        architecture_arguments={"widths": [32, 64, 64], "patch": 3},
        parameters=144_884,
        epochs=15,
        label_smoothing=0.1,
        augmentation=Augmentation(rotation=10, shift=2),
        **_SETTINGS,
    ),
    Recipe(
        name="airbench-fashion_mnist",
        title="A modern small network: Fashion-MNIST",
        dataset="fashion-mnist",
        mean=(0.2860,),
        std=(0.3530,),
        architecture_arguments={"widths": [64, 256, 256], "patch": 3},
        parameters=1_969_204,
        epochs=25,
        label_smoothing=0.2,
        augmentation=Augmentation(shift=2, horizontal_flip=0.5),
        test_time_flip=True,
        **_SETTINGS,
    ),
    _CIFAR10,
    _SMALL_CIFAR10,
    _SMALL_CIFAR10.override(
        name="airbench_small_muon-cifar10",
        title="A modern small network: CIFAR-10, narrow, in few epochs, with Muon",
        **_MUON,
    ),
    _CIFAR10.override(
        name="airbench_cutout-cifar10",
        title="A modern small network: CIFAR-10, with cutout and a higher learning rate for biases",
        **_REGULARISED,
    ),
    _CIFAR10.override(
        name="airbench_large-cifar10",
        title="A modern small network: CIFAR-10, wider and trained longer",
        architecture_arguments={"widths": [128, 384, 384]},
        parameters=4_606_520,
        epochs=64,
        **_REGULARISED,
    ),
    Recipe(
        name="airbench-imagenette_rgb",
        title="A modern small network: Imagenette in colour, 64 x 64",
        dataset="imagenette-rgb",
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        architecture_arguments={"widths": [64, 128, 256, 512]},
        parameters=4_704_824,
        epochs=60,
        label_smoothing=0.1,
        augmentation=Augmentation(horizontal_flip=0.5, crop_scale=(0.35, 1.0)),
        test_time_flip=True,
        **(_SETTINGS | {"batch_size": 250, "learning_rate": 0.37}),
    ),
)
