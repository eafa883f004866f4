"""Imagenette: ten easy classes of ImageNet, in grayscale (at 160 x 160 too, as report E augments it) and in colour."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from vision_zoo.data.dataset import Dataset, Splits
from vision_zoo.data.image_folder import Decoded, find_image_folder, load_image_folder
from vision_zoo.data.sources import locate
from vision_zoo.images.preprocess import InputFormat

# WordNet's identifiers are the folders' names.
FOLDERS = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}
RGB = InputFormat(channels=3, height=64, width=64)
GRAY = replace(RGB, channels=1)
_SQUARE = {(160, 160)}


def _load(dataset: str, target: InputFormat, data_dir: Path | None) -> Splits:
    folder = locate(
        "imagenette",
        data_dir,
        present=lambda candidate: find_image_folder(candidate) is not None,
        download=_download,
        expected="imagenette2-160.tgz, or train/<class>/*.JPEG and val/<class>/*.JPEG",
    )
    source = find_image_folder(folder) or folder
    return load_image_folder(dataset, source, tuple(FOLDERS), target, variant=_variant)


def _variant(decoded: Decoded) -> str:
    # The published pictures are 160 pixels on their shorter side only.
    return "square JPEG copy" if decoded.sizes == _SQUARE else "original"


def _download(folder: Path) -> None:
    from torchvision.datasets.utils import download_url

    download_url(
        "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz",
        str(folder),
        md5="e793b78cc4c9e9a4ccc0c1155377a412",
    )


DATASET = Dataset(
    name="imagenette",
    title="Imagenette at 64 x 64 in grayscale",
    licence="ImageNet's terms for the images (research, not commercial), Apache-2.0 for the selection",
    source="https://github.com/fastai/imagenette",
    labels=tuple(FOLDERS.values()),
    input=GRAY,
    mean=(0.4561,),
    std=(0.2604,),
    train_images=9_469,
    test_images=3_925,
    loader=partial(_load, "imagenette", GRAY),
)
LARGE = replace(
    DATASET,
    name="imagenette-160",
    title="Imagenette at 160 x 160 in grayscale",
    input=replace(GRAY, height=160, width=160),
    mean=(0.4561,),
    std=(0.2727,),
    loader=partial(_load, "imagenette-160", replace(GRAY, height=160, width=160)),
)
COLOR = replace(
    DATASET,
    name="imagenette-rgb",
    title="Imagenette at 64 x 64 in colour",
    input=RGB,
    mean=(0.4624, 0.4579, 0.4303),
    std=(0.2678, 0.2650, 0.2879),
    loader=partial(_load, "imagenette-rgb", RGB),
)
