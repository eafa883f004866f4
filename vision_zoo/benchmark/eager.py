"""The architecture of an exported model in torch, eager or compiled, as a reference."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from vision_zoo.architectures import build
from vision_zoo.artifact.metadata import Metadata
from vision_zoo.training.classifier import ImageClassifier
from vision_zoo.training.device import use_precision


def eager_call(
    metadata: Metadata, images: NDArray[np.uint8], *, device: str, threads: int, compiled: bool = False
) -> Callable[[], object]:
    """A function that classifies `images` in torch, from a numpy array to a numpy array.

    `compiled` puts it through torch.compile; its first call takes long.

    The weights are freshly initialised: an operator's time does not depend on their values, and an
    exported file need not keep them in torch's layout. Normalisation is included, as it is in the file.
    """
    use_precision("fp32", torch.device(device))
    torch.set_num_threads(threads)
    arguments = dict(metadata.architecture_arguments)
    channels = arguments.pop("channels", metadata.input.channels)
    flipped = bool(arguments.pop("test_time_flip", False))
    network = build(
        metadata.architecture,
        channels=channels,
        image_size=metadata.input.height,
        classes=len(metadata.labels),
        arguments=arguments,
    )
    classifier = ImageClassifier(network, mean=[0.5] * channels, std=[0.5] * channels, test_time_flip=flipped)
    classifier.eval().to(device)
    function = torch.compile(classifier, dynamic=False) if compiled else classifier

    def call() -> object:
        with torch.inference_mode():
            # Copying the result back waits for the device, so the clock stops after the work is done.
            return function(torch.from_numpy(images).to(device)).softmax(dim=1).cpu().numpy()

    return call
