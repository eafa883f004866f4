"""The registry of datasets, one file each. Needs no torch, nor does loading data that is on the disk."""

from vision_zoo.registry import lookup
from vision_zoo.training.datasets import fashion_mnist, mnist, mnist_5k
from vision_zoo.training.datasets.dataset import Dataset

DATASETS: dict[str, Dataset] = {
    module.DATASET.name: module.DATASET for module in (mnist_5k, mnist, fashion_mnist)
}


def find_dataset(name: str) -> Dataset:
    """The dataset called `name`.

    Raises:
        UnknownNameError: there is none.
    """
    return lookup("dataset", name, DATASETS, listing="vision-zoo list datasets")
