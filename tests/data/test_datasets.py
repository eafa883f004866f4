"""Every dataset passes every contract test; the full ones where the real data is at hand."""

import io
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vision_zoo.core.errors import DataError, UnknownNameError
from vision_zoo.data import DATASETS, cifar10, find_dataset
from vision_zoo.data.cache import cache_folder
from vision_zoo.data.dataset import Splits
from vision_zoo.data.folder_contents import load_contents, read_contents
from vision_zoo.data.layout import read_layout
from vision_zoo.data.split import stratified_holdout
from vision_zoo.images.preprocess import prepare


@pytest.fixture(params=sorted(DATASETS.keys() - {"imagenette-160"}))  # which takes longest
def loaded(request: pytest.FixtureRequest) -> tuple[str, Splits]:
    if request.param == "mnist-5k":
        return request.param, DATASETS[request.param].load()
    return request.param, request.getfixturevalue("real_dataset")(request.param)


def test_a_dataset_is_what_it_says(loaded: tuple[str, Splits]) -> None:
    name, splits = loaded
    dataset = DATASETS[name]
    whole = (len(splits.train), len(splits.test)) == (dataset.train_images, dataset.test_images)
    assert whole or name.startswith(("cifar10", "imagenette"))
    tolerance = 2e-3 if whole else 0.5 / len(splits.train) ** 0.5
    for split in (splits.train, splits.test):
        assert split.images.dtype == np.uint8
        assert split.images.shape[1:] == dataset.input.shape
        assert set(np.unique(split.labels)) == set(range(len(dataset.labels)))
    for channel, (mean, std) in enumerate(zip(dataset.mean, dataset.std, strict=True)):
        counts = sum(np.bincount(image[..., channel].ravel(), minlength=256) for image in splits.train.images)
        levels = np.arange(256) / 255
        found = np.average(levels, weights=counts)
        assert found == pytest.approx(mean, abs=tolerance)
        assert np.sqrt(np.average((levels - found) ** 2, weights=counts)) == pytest.approx(std, abs=tolerance)


def test_mnist_5k_holds_a_thousand_stratified_digits_out(mnist_5k: Splits) -> None:
    assert np.bincount(mnist_5k.test.labels).tolist() == [100] * 10
    train = {image.tobytes() for image in mnist_5k.train.images}
    assert not [image for image in mnist_5k.test.images if image.tobytes() in train]


def test_the_second_load_comes_from_the_cache_and_a_damaged_cache_is_made_anew(
    mnist_5k: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    DATASETS["mnist-5k"].load()
    (entry,) = (cache_folder() / "decoded").iterdir()
    (entry / "test_images.npy").write_bytes(b"damaged")
    again = DATASETS["mnist-5k"].load()
    assert np.array_equal(again.test.images, mnist_5k.test.images)
    third = DATASETS["mnist-5k"].load()
    assert isinstance(third.test.images, np.memmap)
    assert np.array_equal(third.test.images, mnist_5k.test.images)


@pytest.fixture
def digits(image_files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a tree of digits, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    _write_tree(tmp_path / "data" / "mnist", image_files)
    return tmp_path / "data"


def _cached_files() -> list[Path]:
    return sorted(path for path in (cache_folder() / "decoded").rglob("*") if path.is_file())


def test_flipped_bytes_in_the_cache_are_noticed_wherever_they_are(digits: Path) -> None:
    def arrays() -> list[np.ndarray]:
        splits = SMALL.load(digits)
        return [np.array(part) for split in splits.named().values() for part in (split.images, split.labels)]

    expected = arrays()
    files = _cached_files()
    assert len(files) == 5
    for file in files:
        content = bytearray(file.read_bytes())
        content[-20] ^= 1
        file.unlink()
        file.write_bytes(content)
        assert all(np.array_equal(one, other) for one, other in zip(arrays(), expected, strict=True))
        assert file.read_bytes() != content


def test_a_picture_in_another_class_is_not_taken_from_the_cache(digits: Path) -> None:
    assert np.bincount(SMALL.load(digits).train.labels).tolist() == [3] * 10
    last, next_class = digits / "mnist" / "train" / "0" / "2.png", digits / "mnist" / "train" / "1"
    last.rename(next_class / "-.png")  # the same contents in the same order
    assert np.bincount(SMALL.load(digits).train.labels)[:2].tolist() == [2, 4]


def test_other_classes_have_another_cache(tmp_path: Path, mnist_5k: Splits) -> None:
    for name in ("a", "b", "c"):
        for number in range(4):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(mnist_5k.train.images[number].squeeze()).save(tmp_path / name / f"{number}.png")
    found = find_dataset(f"folder:{tmp_path}")
    contents = read_contents(read_layout(tmp_path))
    splits = load_contents(contents, found.labels, found.input)
    turned = load_contents(contents, found.labels[::-1], found.input)
    assert [found.labels[label] for label in splits.test.labels] == [
        found.labels[::-1][label] for label in turned.test.labels
    ]


def test_a_damaged_download_is_deleted_from_the_cache(
    image_files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("VISION_ZOO_DATA", raising=False)
    folder = cache_folder() / "data" / "mnist"
    _write_tar(folder, image_files)
    archive = folder / "digits.tar.gz"
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(DataError, match=f"delete the cache folder {folder}"):
        SMALL.load()


def test_hidden_files_of_an_archive_or_tree_are_no_images(
    image_files: dict[str, bytes], tmp_path: Path
) -> None:
    files = {
        **image_files,
        "__MACOSX/train/3/._0.png": b"resource fork",
        "train/3/.ipynb_checkpoints/0.png": image_files["train/3/0.png"],
        "train/@eaDir/0/0.png": b"thumbnail",
    }
    for write in (_write_tree, _write_tar, _write_zip):
        write(tmp_path / write.__name__ / "mnist", files)
        splits = SMALL.load(tmp_path / write.__name__)
        assert np.bincount(splits.train.labels).tolist() == [3] * 10


def test_a_cache_that_cannot_be_written_costs_only_time(
    mnist_5k: Splits, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert np.array_equal(DATASETS["mnist-5k"].load().test.images, mnist_5k.test.images)


def test_the_data_folder_of_the_environment_is_used(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISION_ZOO_DATA", str(data_dir))
    assert find_dataset("mnist").load().sha256 == find_dataset("mnist").load(data_dir).sha256


def test_an_unknown_dataset_is_named_with_near_misses() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'fashion-mnist'"):
        find_dataset("fashion_mnist")


SMALL = replace(DATASETS["mnist"], train_images=30, test_images=30)


def test_a_copy_that_is_not_complete_is_refused(image_files: dict[str, bytes], tmp_path: Path) -> None:
    _write_tree(tmp_path / "mnist", image_files)
    with pytest.raises(DataError, match="the train split of mnist has 30 images, expected 60,000"):
        find_dataset("mnist").load(tmp_path)


@pytest.fixture
def image_files(mnist_5k: Splits) -> dict[str, bytes]:
    """A few real digits of every class as PNG files, by path."""
    files = {}
    for folder, split in (("train", mnist_5k.train), ("test", mnist_5k.test)):
        for label in range(10):
            for number, index in enumerate(np.flatnonzero(np.asarray(split.labels) == label)[:3]):
                buffer = io.BytesIO()
                Image.fromarray(split.images[index].squeeze()).save(buffer, format="PNG")
                files[f"{folder}/{label}/{number}.png"] = buffer.getvalue()
    return files


def _write_tree(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _write_tar(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True)
    with tarfile.open(folder / "digits.tar.gz", "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"digits/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def _write_zip(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "digits.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(f"x/{name}", content)


@pytest.mark.parametrize("write", [_write_tree, _write_tar, _write_zip])
def test_image_files_are_a_dataset_too(
    write: Callable[[Path, dict[str, bytes]], None],
    image_files: dict[str, bytes],
    mnist_5k: Splits,
    tmp_path: Path,
) -> None:
    write(tmp_path / "mnist", image_files)
    splits = SMALL.load(tmp_path)
    assert np.bincount(splits.train.labels).tolist() == [3] * 10
    assert np.bincount(splits.test.labels).tolist() == [3] * 10
    first = np.flatnonzero(np.asarray(mnist_5k.test.labels) == 0)[0]
    assert np.array_equal(splits.test.images[0], mnist_5k.test.images[first])


def test_files_that_are_no_images_are_counted_and_named(
    image_files: dict[str, bytes], tmp_path: Path
) -> None:
    image_files["train/3/0.png"] = b"broken"
    image_files["test/4/1.png"] = b"broken"
    _write_tree(tmp_path / "mnist", image_files)
    with pytest.raises(DataError, match=r"2 unreadable images: .*0\.png"):
        find_dataset("mnist").load(tmp_path)


def test_a_folder_that_is_no_class_is_named(image_files: dict[str, bytes], tmp_path: Path) -> None:
    image_files["train/ten/0.png"] = image_files["train/1/0.png"]
    _write_tree(tmp_path / "mnist", image_files)
    with pytest.raises(DataError, match="a class 'ten'; expected one of 0, 1"):
        find_dataset("mnist").load(tmp_path)


def test_image_files_without_a_test_split_are_refused(image_files: dict[str, bytes], tmp_path: Path) -> None:
    _write_tree(
        tmp_path / "mnist", {name: content for name, content in image_files.items() if "train" in name}
    )
    with pytest.raises(DataError, match="no images for the test split"):
        find_dataset("mnist").load(tmp_path)


def test_a_truncated_archive_is_refused(image_files: dict[str, bytes], tmp_path: Path) -> None:
    _write_tar(tmp_path / "mnist", image_files)
    archive = tmp_path / "mnist" / "digits.tar.gz"
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(DataError, match="damaged or truncated"):
        find_dataset("mnist").load(tmp_path)


def test_a_stratified_holdout_is_exact_seeded_and_in_proportion() -> None:
    labels = np.repeat([0, 1, 2], [50, 30, 21]).astype(np.int64)
    kept, out = stratified_holdout(labels, 10, seed=1)
    assert np.bincount(labels[out]).tolist() == [5, 3, 2]
    assert sorted([*kept, *out]) == list(range(101))
    assert np.array_equal(out, stratified_holdout(labels, 10, seed=1)[1])
    assert not np.array_equal(out, stratified_holdout(labels, 10, seed=2)[1])


@pytest.mark.parametrize("held_out", [0, 4, 9])
def test_an_impossible_holdout_is_refused(held_out: int) -> None:
    with pytest.raises(DataError, match="cannot hold"):
        stratified_holdout(np.zeros(4, dtype=np.int64), held_out, seed=0)


def test_cifar10_in_grayscale_is_its_pictures_turned_gray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    pictures = np.random.default_rng(0).integers(0, 256, (2, 10, 32, 32, 3), dtype=np.uint8)
    for split, of_split in zip(("train", "test"), pictures, strict=True):
        for label, picture in zip(cifar10.LABELS, of_split, strict=True):
            folder = tmp_path / "cifar10" / split / label
            folder.mkdir(parents=True)
            Image.fromarray(picture).save(folder / "0.png")
    coloured, gray = (dataset.loader(tmp_path) for dataset in (cifar10.DATASET, cifar10.GRAYSCALE))
    assert np.array_equal(coloured.test.images, pictures[1])
    for loaded, of_split in zip((gray.train, gray.test), pictures, strict=True):
        expected = [prepare(Image.fromarray(picture), cifar10.GRAY) for picture in of_split]
        assert np.array_equal(loaded.images, expected)
        assert loaded.labels.tolist() == list(range(10))
    (decoded,) = (cache_folder() / "decoded").iterdir()  # once for both
    assert decoded.name.startswith("cifar10-")
