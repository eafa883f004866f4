"""The registry of architectures, one file each. Listing them needs no torch; building one does."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from vision_zoo.registry import lookup

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Architecture:
    """Where an architecture lives: the class `class_name` in the module of this package called `name`."""

    name: str
    class_name: str
    description: str


ARCHITECTURES: dict[str, Architecture] = {
    architecture.name: architecture
    for architecture in (
        Architecture("simple_cnn", "SimpleCNN", "two 3x3 convolutions, two dense layers (reports A and D)"),
    )
}


def find_architecture(name: str) -> Architecture:
    """The registry's entry called `name`.

    Raises:
        UnknownNameError: there is none.
    """
    return lookup("architecture", name, ARCHITECTURES, listing="vision-zoo list architectures")


def build(
    name: str,
    *,
    channels: int,
    image_size: int,
    classes: int,
    arguments: Mapping[str, Any] | None = None,
) -> "nn.Module":
    """A freshly initialised network: float32 `[batch, channels, image_size, image_size]` → `[batch, classes]`.

    `arguments` are the architecture's own further keyword arguments.

    Raises:
        UnknownNameError: no such architecture.
        UsageError: the architecture does not work at that size or with that many channels.
    """
    entry = find_architecture(name)
    module = import_module(f"{__name__}.{entry.name}")
    network = getattr(module, entry.class_name)(
        channels=channels, image_size=image_size, classes=classes, **(arguments or {})
    )
    return cast("nn.Module", network)
