"""Training loops, from what a course teaches to the engine; each gives the mean loss of every epoch.

All of them train the same function from the same weights with the recipe's batch size, optimizer, learning rate and
augmentation, and score the test images after every epoch. Only the engine has the zoo's order of operators, the others
the printed one. Nobody lowers the learning rate or saves anything.
"""

import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.training.printed import as_printed
from benchmarks.training.workload import Prepared
from vision_zoo.core.progress import SilentProgress
from vision_zoo.data.dataset import Split
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training.augment import augment
from vision_zoo.training.distributed import ALONE
from vision_zoo.training.features import can_cache, compute_features
from vision_zoo.training.loader import Loader
from vision_zoo.training.loop import Saving, ScoredSplits, TrainingLoop
from vision_zoo.training.optim import build_optimizer, loss_function
from vision_zoo.training.speedups import apply_speedups
from vision_zoo.training.state import TrainingState
from vision_zoo.training.step import EagerStep, fastest_step

Runner = Callable[[Prepared], list[float]]


def picture_transform(recipe: Recipe, split: Split, *, training: bool) -> transforms.Compose:
    """From a picture to the network's input, one at a time, augmented in training."""
    steps: list[Any] = []
    augmentation = recipe.augmentation if training else None
    if augmentation is not None and augmentation.rotation:
        steps.append(transforms.RandomRotation(augmentation.rotation))
    if augmentation is not None and augmentation.crop_scale is not None:
        steps.append(transforms.RandomResizedCrop(split.images.shape[1], scale=augmentation.crop_scale))
    if augmentation is not None and augmentation.horizontal_flip:
        steps.append(transforms.RandomHorizontalFlip(augmentation.horizontal_flip))
    if split.images.shape[3] == 1 and len(recipe.data.mean) == 3:
        steps.append(transforms.Grayscale(3))
    steps += [transforms.ToTensor(), transforms.Normalize(recipe.data.mean, recipe.data.std)]
    return transforms.Compose(steps)


class Pictures(Dataset[tuple[Tensor, int]]):
    """Images as PIL pictures, transformed one at a time, as torchvision's own datasets give them."""

    def __init__(self, split: Split, recipe: Recipe, *, training: bool) -> None:
        self._images, self._labels = np.array(split.images), np.array(split.labels)
        self._transform = picture_transform(recipe, split, training=training)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._transform(Image.fromarray(self._images[index].squeeze())), int(self._labels[index])


def course(prepared: Prepared, *, workers: int = 0, tuned: bool = False) -> list[float]:
    """A DataLoader over pictures and a plain loop; `tuned` adds what its documentation recommends for speed."""
    network, recipe = prepared.classifier.network, prepared.recipe
    options: dict[str, Any] = {"num_workers": workers, "pin_memory": torch.cuda.is_available()}
    if workers:
        options |= {"persistent_workers": True, "prefetch_factor": 4}
    batches = DataLoader(
        Pictures(prepared.train, recipe, training=True), batch_size=recipe.batch_size, shuffle=True, **options
    )
    tests = DataLoader(Pictures(prepared.test, recipe, training=False), batch_size=256, **options)
    if tuned:
        network.to(memory_format=torch.channels_last)
    optimizer = _optimizer(recipe, network, fused=tuned)
    loss_of = loss_function(recipe)
    losses = []
    for _ in range(recipe.stopping.epochs):
        _training_mode(prepared)
        total = 0.0
        for images, labels in batches:
            loss = _step(network, optimizer, loss_of, *_on(prepared, images, labels))
            total += loss.item() * len(labels)
        losses.append(total / len(prepared.train))
        network.eval()
        with torch.no_grad():
            for images, labels in tests:
                there, expected = _on(prepared, images, labels)
                (network(there).argmax(dim=1) == expected).sum().item()
    return losses


def resident(prepared: Prepared) -> list[float]:
    """All images as one tensor, batches gathered from it, and a plain loop."""
    classifier, recipe = prepared.classifier, prepared.recipe
    loader = Loader(prepared.train, batch_size=recipe.batch_size, seed=recipe.seed, device=prepared.device)
    tests = torch.split(torch.from_numpy(np.array(prepared.test.images)).to(prepared.device), 256)
    optimizer = _optimizer(recipe, classifier.network, fused=False)
    loss_of = loss_function(recipe)
    generator = torch.Generator().manual_seed(recipe.seed)
    losses = []
    for epoch in range(recipe.stopping.epochs):
        _training_mode(prepared)
        total = 0.0
        for images, labels, *_ in loader.epoch(epoch):
            changed = (
                images if recipe.augmentation is None else augment(images, recipe.augmentation, generator)
            )
            loss = _step(classifier, optimizer, loss_of, changed, labels)
            total += loss.item() * len(labels)
        losses.append(total / len(prepared.train))
        classifier.eval()
        with torch.no_grad():
            for images in tests:
                classifier(images).argmax(dim=1)
    return losses


def engine(prepared: Prepared) -> list[float]:
    """The steps and evaluation of `vision-zoo train`, frozen features computed anew."""
    classifier, recipe = prepared.classifier, prepared.recipe
    apply_speedups(classifier.network, prepared.device)
    state = TrainingState(classifier.network, build_optimizer(recipe, classifier.network))
    parts = {"train": prepared.train, "test": prepared.test}
    model: nn.Module = classifier
    if can_cache(recipe):
        features = compute_features(classifier, parts, progress=SilentProgress())
        model, parts = classifier.head, features.splits
    loader = Loader(parts["train"], batch_size=recipe.batch_size, seed=recipe.seed, device=prepared.device)
    scored = ScoredSplits(test=parts["test"])
    step = fastest_step(EagerStep(model, state.optimizer, recipe), prepared.device, ALONE, SilentProgress())
    TrainingLoop(
        model=model,
        step=step,
        state=state,
        recipe=recipe,
        loader=loader,
        scored=scored,
        progress=SilentProgress(),
        saving=Saving(lambda: None, 3600.0),
    ).run()
    return [record.train_loss for record in state.history]


def lightning(prepared: Prepared) -> list[float]:
    """Lightning's Trainer over the course's pictures."""
    import lightning

    recipe, loss_of = prepared.recipe, loss_function(prepared.recipe)
    losses: list[float] = []

    class Module(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = prepared.classifier.network
            self.total = 0.0

        def training_step(self, batch: tuple[Tensor, Tensor], _index: int) -> Tensor:
            images, labels = batch
            loss = loss_of(self.network(images), labels)
            self.total += loss.item() * len(labels)
            return loss

        def validation_step(self, batch: tuple[Tensor, Tensor], _index: int) -> None:
            images, _ = batch
            self.network(images).argmax(dim=1)

        def on_train_epoch_end(self) -> None:
            losses.append(self.total / len(prepared.train))
            self.total = 0.0

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return _optimizer(recipe, self.network, fused=True)

    with tempfile.TemporaryDirectory() as folder:
        trainer = lightning.Trainer(
            max_epochs=recipe.stopping.epochs,
            accelerator=prepared.device.type,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            default_root_dir=Path(folder),
        )
        batches = DataLoader(
            Pictures(prepared.train, recipe, training=True), batch_size=recipe.batch_size, shuffle=True
        )
        tests = DataLoader(Pictures(prepared.test, recipe, training=False), batch_size=256)
        trainer.fit(Module(), batches, tests)
    return losses


def timm(prepared: Prepared) -> list[float]:
    """The loader of timm, its optimizer factory and meters, as in its training script; it drops the last small batch."""
    from timm.data import create_loader
    from timm.optim import create_optimizer_v2
    from timm.utils import AverageMeter

    network, recipe = prepared.classifier.network, prepared.recipe

    class Raw(Dataset[tuple[Any, int]]):
        def __init__(self, split: Split) -> None:
            self._images, self._labels = np.array(split.images), np.array(split.labels)
            self.transform: Any = None

        def __len__(self) -> int:
            return len(self._labels)

        def __getitem__(self, index: int) -> tuple[Any, int]:
            picture = Image.fromarray(self._images[index].squeeze())
            if len(recipe.data.mean) == 3:
                picture = picture.convert("RGB")
            return self.transform(picture), int(self._labels[index])

    height = prepared.train.images.shape[1]
    common: dict[str, Any] = {
        "input_size": (len(recipe.data.mean), height, height),
        "mean": recipe.data.mean,
        "std": recipe.data.std,
        "use_prefetcher": False,
        "num_workers": 0,
        "persistent_workers": False,
        "device": prepared.device,
    }
    training = Raw(prepared.train)
    batches = create_loader(training, batch_size=recipe.batch_size, is_training=True, no_aug=True, **common)
    training.transform = picture_transform(recipe, prepared.train, training=True)
    tests = create_loader(Raw(prepared.test), batch_size=256, is_training=False, crop_pct=1.0, **common)
    optimizer = create_optimizer_v2(
        network,
        opt=recipe.optimizer.kind,
        lr=recipe.optimizer.learning_rate,
        weight_decay=recipe.optimizer.weight_decay,
    )
    loss_of = loss_function(recipe)
    losses = []
    for _ in range(recipe.stopping.epochs):
        _training_mode(prepared)
        meter = AverageMeter()
        for images, labels in cast("Iterable[tuple[Tensor, Tensor]]", batches):
            loss = _step(network, optimizer, loss_of, *_on(prepared, images, labels))
            meter.update(loss.item(), len(labels))
        losses.append(float(meter.avg))
        network.eval()
        with torch.no_grad():
            for images, labels in cast("Iterable[tuple[Tensor, Tensor]]", tests):
                network(_on(prepared, images, labels)[0]).argmax(dim=1)
    return losses


def _printed(runner: Runner) -> Runner:
    """`runner` on the network as its report prints it."""

    def run(prepared: Prepared) -> list[float]:
        prepared.classifier.network = as_printed(prepared.classifier.network)
        return runner(prepared)

    return run


RUNNERS: dict[str, Runner] = {
    "course": _printed(course),
    "tuned, 0 workers": _printed(partial(course, tuned=True)),
    "tuned, 1 worker": _printed(partial(course, workers=1, tuned=True)),
    "tuned, 2 workers": _printed(partial(course, workers=2, tuned=True)),
    "resident": _printed(resident),
    "engine": engine,
    "lightning": _printed(lightning),
    "timm": _printed(timm),
}


def _step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
) -> Tensor:
    optimizer.zero_grad()
    loss = loss_of(model(images), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss


def _on(prepared: Prepared, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The batch on the workload's device."""
    return images.to(prepared.device, non_blocking=True), labels.to(prepared.device, non_blocking=True)


def _optimizer(recipe: Recipe, network: nn.Module, *, fused: bool) -> torch.optim.Optimizer:
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    classes: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "sgd": torch.optim.SGD,
    }
    options: dict[str, Any] = {"fused": True} if fused else {}
    return classes[recipe.optimizer.kind](
        parameters, lr=recipe.optimizer.learning_rate, weight_decay=recipe.optimizer.weight_decay, **options
    )


def _training_mode(prepared: Prepared) -> None:
    prepared.classifier.train()
