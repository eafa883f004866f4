"""The engine computes what a plain loop computes: same weights, same batches, same losses, for every architecture."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from vision_zoo.architectures import ARCHITECTURES
from vision_zoo.architectures.vit import Attention
from vision_zoo.core.progress import SilentProgress
from vision_zoo.data import find_dataset
from vision_zoo.data.dataset import Split, Splits
from vision_zoo.recipes import recipe_for
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training.classifier import ImageClassifier, build_classifier
from vision_zoo.training.features import can_cache, compute_features
from vision_zoo.training.loader import Loader
from vision_zoo.training.loop import Saving, ScoredSplits, TrainingLoop
from vision_zoo.training.optim import build_optimizer
from vision_zoo.training.speedups import apply_speedups
from vision_zoo.training.state import TrainingState
from vision_zoo.training.step import EagerStep

_TOLERANCE, _NEARLY_NOTHING = 1e-3, 1e-4
"""Of an epoch's mean loss, relative and in nats: single precision in another order of summation, over a few steps of
Adam."""

_IMAGES, _BATCH, _EPOCHS = 40, 16, 3  # the last batch of an epoch has 8


def _recipe(architecture: str) -> Recipe:
    recipe = recipe_for(architecture, "mnist-5k")
    small = {"resolution": 32} if architecture == "efficientnet_lite0" else {}
    return recipe.override(
        batch_size=_BATCH,
        epochs=_EPOCHS,
        optimizer="adam",
        learning_rate=1e-3,
        architecture_arguments={**recipe.architecture_arguments, **small},
    )


def _classifier(recipe: Recipe) -> ImageClassifier:
    torch.manual_seed(0)
    classifier = build_classifier(recipe, find_dataset("mnist-5k"))
    for module in classifier.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # another memory format draws other masks
        if isinstance(module, Attention):
            module.dropout = 0.0
    return classifier


def _plain_losses(recipe: Recipe, split: Split) -> list[float]:
    """As a course would write it: pixels to [0, 1], mean and deviation, one tensor per step, no fused optimizer."""
    network = _classifier(recipe).train().network  # frozen layers stay in evaluation mode
    channels = len(recipe.data.mean)
    mean = torch.tensor(recipe.data.mean).view(channels, 1, 1)
    deviation = torch.tensor(recipe.data.std).view(channels, 1, 1)

    def prepared(images: Tensor) -> Tensor:
        pixels = images.permute(0, 3, 1, 2).to(torch.float32).div(255).expand(-1, channels, -1, -1)
        return ((pixels - mean) / deviation).contiguous()

    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(
        trainable,
        lr=recipe.optimizer.learning_rate,
        weight_decay=recipe.optimizer.weight_decay,
        foreach=False,
        fused=False,
    )
    loader = Loader(split, batch_size=_BATCH, seed=recipe.seed, device=torch.device("cpu"))
    losses = []
    for epoch in range(_EPOCHS):
        total = 0.0
        for images, labels, *_ in loader.epoch(epoch):
            optimizer.zero_grad()
            loss = functional.cross_entropy(network(prepared(images)), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item() * len(labels)
        losses.append(total / _IMAGES)
    return losses


def _engine_losses(recipe: Recipe, split: Split) -> list[float]:
    classifier = _classifier(recipe)
    apply_speedups(classifier.network, torch.device("cpu"))
    state = TrainingState(classifier.network, build_optimizer(recipe, classifier.network))
    model: nn.Module = classifier
    if can_cache(recipe):
        features = compute_features(classifier, {"train": split}, progress=SilentProgress())
        model, split = classifier.head, features.splits["train"]
    loader = Loader(split, batch_size=_BATCH, seed=recipe.seed, device=torch.device("cpu"))
    saving = Saving(lambda: None, 60.0)
    step = EagerStep(model, state.optimizer, recipe)
    TrainingLoop(
        model=model,
        step=step,
        state=state,
        recipe=recipe,
        loader=loader,
        scored=ScoredSplits(),
        progress=SilentProgress(),
        saving=saving,
    ).run()
    return [record.train_loss for record in state.history]


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_the_engine_has_the_losses_of_a_plain_loop(architecture: str, mnist_5k: Splits) -> None:
    recipe = _recipe(architecture)
    split = mnist_5k.train.take(np.arange(_IMAGES))
    plain = _plain_losses(recipe, split)
    assert plain[-1] < plain[0]
    np.testing.assert_allclose(_engine_losses(recipe, split), plain, rtol=_TOLERANCE, atol=_NEARLY_NOTHING)
