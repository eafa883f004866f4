"""CIFAR-10: 60,000 colour pictures of animals and vehicles, 32 x 32, and a grayscale view of them."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from PIL import Image

from vision_zoo.core.errors import DataError
from vision_zoo.data.cache import content_hash, decoded_once
from vision_zoo.data.dataset import Dataset, Split, Splits
from vision_zoo.data.image_folder import Decoded, find_image_folder, load_image_folder
from vision_zoo.data.sources import locate, remedy
from vision_zoo.images.preprocess import InputFormat

LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
RGB = InputFormat(channels=3, height=32, width=32)
GRAY = replace(RGB, channels=1)
_BATCHES = "cifar-10-batches-py"  # torchvision's folder


def _load(data_dir: Path | None) -> Splits:
    folder = locate(
        "cifar10",
        data_dir,
        present=lambda candidate: (candidate / _BATCHES).is_dir() or find_image_folder(candidate) is not None,
        download=_download,
        expected=f"{_BATCHES}/*, or train/<class>/*.png and test/<class>/*.png",
    )
    images = find_image_folder(folder)
    if images is not None and not (folder / _BATCHES).is_dir():
        return load_image_folder("cifar10", images, LABELS, RGB, variant=_variant)
    key = content_hash(sorted(path for path in (folder / _BATCHES).iterdir() if path.is_file()))
    return decoded_once("cifar10", {"content": key, "input": asdict(RGB)}, lambda: _read_batches(folder, key))


def _load_gray(data_dir: Path | None) -> Splits:
    splits = _load(data_dir)
    return replace(splits, train=_in_gray(splits.train), test=_in_gray(splits.test))


def _in_gray(split: Split) -> Split:
    column = Image.fromarray(split.images.reshape(-1, RGB.width, RGB.channels))  # one image above the other
    return replace(split, images=np.asarray(column.convert("L")).reshape(-1, *GRAY.shape))


def _variant(decoded: Decoded) -> str:
    # CIFAR-10 was published as raw pixels: a JPEG file is a re-encoded one.
    names = (file.name.lower() for split in decoded.splits.values() for file in split.files)
    return "JPEG copy" if any(name.endswith((".jpg", ".jpeg")) for name in names) else "image files"


def _read_batches(folder: Path, key: str) -> Splits:
    from torchvision.datasets import CIFAR10

    splits = {}
    for name, train in (("train", True), ("test", False)):
        try:
            data = CIFAR10(str(folder), train=train)
        except (RuntimeError, OSError, KeyError, EOFError, ValueError) as error:
            raise DataError(
                f"{folder / _BATCHES} is damaged or incomplete ({error}); {remedy(folder)}"
            ) from error
        splits[name] = Split(data.data, np.asarray(data.targets, dtype=np.int64))
    return Splits(train=splits["train"], test=splits["test"], variant="original", sha256=key)


def _download(folder: Path) -> None:
    from torchvision.datasets import CIFAR10

    CIFAR10(str(folder), download=True)
    (folder / CIFAR10.filename).unlink()  # unpacked


DATASET = Dataset(
    name="cifar10",
    title="CIFAR-10 animals and vehicles",
    licence="none stated by its authors",
    source="https://www.cs.toronto.edu/~kriz/cifar.html",
    labels=LABELS,
    input=RGB,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    train_images=50_000,
    test_images=10_000,
    loader=_load,
)
GRAYSCALE = replace(
    DATASET,
    name="cifar10-gray",
    title="CIFAR-10 in grayscale",
    input=GRAY,
    mean=(0.4808,),
    std=(0.2391,),
    loader=_load_gray,
)
