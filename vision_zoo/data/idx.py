"""The IDX format of MNIST and its relatives: four files, plain or gzipped, in torchvision's folders."""

import gzip
import math
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vision_zoo.core.errors import DataError
from vision_zoo.data.cache import content_hash, decoded_once
from vision_zoo.data.dataset import Split, Splits
from vision_zoo.data.image_folder import find_image_folder, load_image_folder
from vision_zoo.data.sources import locate, remedy
from vision_zoo.images.preprocess import InputFormat

_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_UINT8 = 0x08


def load_idx_dataset(
    dataset: str, torchvision_name: str, data_dir: Path | None, *, labels: Sequence[str], target: InputFormat
) -> Splits:
    """Load a dataset that torchvision calls `torchvision_name` and keeps as IDX files, or an image folder of it.

    Raises DataError for files that are missing, truncated or contradict each other.
    """
    raw = Path(torchvision_name) / "raw"
    folder = locate(
        dataset,
        data_dir,
        present=lambda candidate: (candidate / raw).is_dir() or find_image_folder(candidate) is not None,
        download=lambda folder: _download(torchvision_name, folder),
        expected=str(raw / f"{_FILES[0]}.gz"),
    )
    images = find_image_folder(folder)
    if images is not None and not (folder / raw).is_dir():
        return load_image_folder(dataset, images, labels, target)
    files = [_existing(folder / raw / name) for name in _FILES]
    key = content_hash(files)
    return decoded_once(
        dataset,
        {"content": key},
        lambda: Splits(
            train=_read_split(*files[:2]), test=_read_split(*files[2:]), variant="original", sha256=key
        ),
    )


def read_idx(path: Path) -> NDArray[np.uint8]:
    """One IDX file of unsigned bytes as an array of its stated shape; DataError if it is none or of another length."""
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged or truncated ({error}); {remedy(path)}") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _UINT8:
        raise DataError(f"{path} is not an IDX file of bytes; {remedy(path)}")
    rank = content[3]
    shape = tuple(int(size) for size in np.frombuffer(content[4 : 4 + 4 * rank], dtype=">u4"))
    expected = 4 + 4 * rank + math.prod(shape)
    if len(shape) != rank or len(content) != expected:
        raise DataError(
            f"{path} holds {len(content)} bytes, expected {expected} by its header: it is truncated or "
            f"damaged; {remedy(path)}"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * rank).reshape(shape)


def _existing(path: Path) -> Path:
    for candidate in (path, path.with_name(f"{path.name}.gz")):
        if candidate.is_file():
            return candidate
    raise DataError(f"{path} is missing, plain or as .gz; {remedy(path)}")


def _read_split(images_file: Path, labels_file: Path) -> Split:
    images, labels = read_idx(images_file), read_idx(labels_file)
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise DataError(
            f"{images_file} has shape {list(images.shape)} and {labels_file.name} {list(labels.shape)}, "
            f"expected [n, height, width] and [n]; {remedy(images_file)}"
        )
    return Split(images[..., None], labels.astype(np.int64))


def _download(torchvision_name: str, folder: Path) -> None:
    from torchvision import datasets

    getattr(datasets, torchvision_name)(str(folder), download=True)
