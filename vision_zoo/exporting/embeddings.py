"""Embeddings: what the last dense layer of a classifier takes, as a third output of the exported graph."""

import torch
from torch import Tensor, nn

from vision_zoo.core.errors import ExportError
from vision_zoo.training.classifier import ImageClassifier


class WithEmbeddings(nn.Module):
    """A classifier's logits and embeddings: uint8 `[batch, height, width, channels]` to float32 `[batch, …]`.

    Where logits are the mean of an image's and its mirror image's, embeddings are too. `width` is the number of values in
    an embedding.

    Args:
        classifier: in evaluation mode.
        shape: (height, width, channels) of its images.

    Raises:
        ExportError: the network does not end in a dense layer.
    """

    def __init__(self, classifier: ImageClassifier, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.classifier = classifier
        self._layer, self.width = _last_dense_layer(classifier, shape)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        taken: list[Tensor] = []
        layer = self.classifier.network.get_submodule(self._layer)
        handle = layer.register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0]))
        try:
            logits = self.classifier(images)
        finally:
            handle.remove()
        (embeddings,) = taken
        if self.classifier.test_time_flip:
            embeddings = embeddings.reshape(2, -1, self.width).mean(0)
        return logits, embeddings


def _last_dense_layer(classifier: ImageClassifier, shape: tuple[int, int, int]) -> tuple[str, int]:
    """The name of the layer, in the network, that gives a row of logits for each image, and what it takes."""
    network = classifier.network
    called: list[tuple[str, Tensor, Tensor]] = []
    handles = [
        layer.register_forward_hook(
            lambda _, inputs, output, name=name: called.append((name, inputs[0], output))
        )
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear)
    ]
    try:
        with torch.no_grad():
            logits = classifier(torch.zeros((2, *shape), dtype=torch.uint8))
    finally:
        for handle in handles:
            handle.remove()
    rows = 4 if classifier.test_time_flip else 2
    name, taken, output = called[-1] if called else ("", torch.empty(0), torch.empty(0))
    if (
        output.shape != (rows, logits.shape[1])
        or taken.dim() != 2
        or [one for one, *_ in called].count(name) > 1
    ):
        raise ExportError(
            f"{type(network).__name__} does not end in a dense layer, whose input would be the embeddings; "
            "export it without --embeddings"
        )
    return name, taken.shape[1]
