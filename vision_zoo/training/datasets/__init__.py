"""The registry of datasets, one file each. Needs no torch, nor does loading data that is on the disk."""

from pathlib import Path

from vision_zoo.errors import UsageError
from vision_zoo.preprocess import InputFormat
from vision_zoo.registry import lookup
from vision_zoo.training.datasets import cifar10, fashion_mnist, imagenette, mnist, mnist_5k
from vision_zoo.training.datasets.dataset import Dataset
from vision_zoo.training.datasets.own_folder import PREFIX, is_own_folder, own_folder

DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        mnist_5k.DATASET,
        mnist.DATASET,
        fashion_mnist.DATASET,
        cifar10.DATASET,
        cifar10.GRAYSCALE,
        imagenette.DATASET,
        imagenette.COLOR,
    )
}


def find_dataset(name: str, *, image_size: int | None = None, target: InputFormat | None = None) -> Dataset:
    """The dataset called `name`, or the images in PATH where `name` is `folder:PATH`.

    `image_size` is the side in pixels to which a folder's images are brought; `target` is what a model
    takes, to which they are brought instead.

    Raises:
        UnknownNameError: there is none of that name.
        DataError: the folder is no dataset.
        UsageError: `image_size` for a dataset that has its own.
    """
    if is_own_folder(name):
        return own_folder(Path(name.removeprefix(PREFIX)).expanduser(), image_size, target=target)
    dataset = lookup("dataset", name, DATASETS, listing="vision-zoo list datasets")
    if image_size is not None and image_size != dataset.input.height:
        raise UsageError(
            f"{name} has images of {dataset.input.height} pixels; an image size can be chosen for folder:PATH only"
        )
    return dataset
