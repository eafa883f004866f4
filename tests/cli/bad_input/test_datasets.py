"""Data that is missing, damaged or of another kind."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Completed

Cli = Callable[..., Completed]


@pytest.fixture
def mnist_files(tmp_path: Path) -> Path:
    """A data folder with a tiny but complete MNIST in IDX files."""
    raw = tmp_path / "data" / "mnist" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for split in ("train", "t10k"):
        images = np.zeros((20, 28, 28), dtype=np.uint8)
        labels = np.arange(20, dtype=np.uint8) % 10
        _write_idx(raw / f"{split}-images-idx3-ubyte.gz", images)
        _write_idx(raw / f"{split}-labels-idx1-ubyte.gz", labels)
    return tmp_path / "data"


def _write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
    path.write_bytes(gzip.compress(header + array.tobytes()))


def test_a_data_folder_without_the_dataset(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    done = cli("train", "simple_cnn-mnist", "--data-dir", "data")
    assert "no mnist under data; expected data/mnist/MNIST/raw" in done.error
    assert not (tmp_path / "runs").exists()


def test_a_data_folder_without_the_split(cli: Cli, mnist_files: Path) -> None:
    (mnist_files / "mnist" / "MNIST" / "raw" / "t10k-images-idx3-ubyte.gz").unlink()
    done = cli("train", "simple_cnn-mnist", "--data-dir", mnist_files)
    assert "t10k-images-idx3-ubyte is missing" in done.error


def test_truncated_data_files(cli: Cli, mnist_files: Path) -> None:
    file = mnist_files / "mnist" / "MNIST" / "raw" / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-20])
    assert "damaged or truncated" in cli("train", "simple_cnn-mnist", "--data-dir", mnist_files).error


def test_data_files_shorter_than_their_header_says(cli: Cli, mnist_files: Path) -> None:
    file = mnist_files / "mnist" / "MNIST" / "raw" / "train-images-idx3-ubyte.gz"
    file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes())[:-100]))
    assert "by its header" in cli("train", "simple_cnn-mnist", "--data-dir", mnist_files).error


def test_data_that_cannot_be_downloaded_says_where_it_looked(cli: Cli, tmp_path: Path) -> None:
    offline = {"VISION_ZOO_DATA": "", "https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    done = cli("evaluate", "m", "--dataset", "mnist", env=offline)
    assert "no model 'm'" in done.error or "unknown model" in done.error
    done = cli("train", "simple_cnn-mnist", env=offline)
    assert "could not be downloaded" in done.error
    assert "pass --data-dir" in done.error


def test_a_dataset_with_other_labels(cli: Cli, exported_model: Path, data_dir: Path) -> None:
    done = cli("evaluate", exported_model, "--dataset", "fashion-mnist", "--data-dir", data_dir)
    assert "expected a dataset with the model's labels" in done.error
