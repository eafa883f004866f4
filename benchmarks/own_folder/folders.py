"""Folders of a few pictures a class, as a user has them, and new pictures to score on."""

import shutil
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from vision_zoo.data import find_dataset
from vision_zoo.data.image_folder import find_image_folder
from vision_zoo.data.imagenette import FOLDERS

_NEW = 100
"""New pictures of every class."""


@dataclass(frozen=True)
class Folders:
    """A user's folder of pictures, `own`, and one of new pictures of the same classes."""

    own: Path
    new: Path


def made_once(place: Path, make: Callable[[Folders], None]) -> Folders:
    """The folders in `place`, which `make` fills unless they are there."""
    if not place.is_dir():
        begun = place.with_name(f".{place.name}")
        shutil.rmtree(begun, ignore_errors=True)
        begun.mkdir(parents=True)
        make(Folders(begun / "pictures", begun / "new"))
        begun.rename(place)
    return Folders(place / "pictures", place / "new")


def imagenette(folders: Folders, data_dir: Path, *, images: int, seed: int) -> None:
    """Draw `images` photos a class of Imagenette's training split with `seed`, and new ones of its validation split."""
    source = find_image_folder(data_dir / "imagenette")
    if source is None:
        raise SystemExit(f"error: {data_dir} has no imagenette; expected imagenette/imagenette2-160.tgz")
    chance = np.random.default_rng(seed)
    with tarfile.open(source) as tar:
        members = {PurePosixPath(member.name).parts[-3:]: member for member in tar if member.isfile()}
        drawn = {}
        for split, folder, count in (("train", folders.own, images), ("val", folders.new, _NEW)):
            for name, label in FOLDERS.items():
                of_class = sorted(path for path in members if path[:2] == (split, name))
                for index in chance.permutation(len(of_class))[:count]:
                    drawn[of_class[index]] = folder / label / of_class[index][-1]
        for path in sorted(drawn, key=lambda path: members[path].offset):  # reading back is slow
            content = tar.extractfile(members[path])
            assert content is not None
            drawn[path].parent.mkdir(parents=True, exist_ok=True)
            drawn[path].write_bytes(content.read())


def first(
    folders: Folders,
    data_dir: Path,
    *,
    images: int | Mapping[str, int],
    name: str = "cifar10",
    mode: str | None = None,
) -> None:
    """Take the first images of a dataset's training split, and new ones of its test split, as PNG.

    `images` are so many of every class, or of those that it has; `mode` is Pillow's, where not the dataset's own.
    """
    dataset = find_dataset(name)
    splits = dataset.load(data_dir)
    counts = images if isinstance(images, Mapping) else dict.fromkeys(dataset.labels, images)
    for label, count in counts.items():
        number = dataset.labels.index(label)
        for split, folder, most in ((splits.train, folders.own, count), (splits.test, folders.new, _NEW)):
            place = folder / label.replace("/", " or ")
            place.mkdir(parents=True)
            for index in np.flatnonzero(np.asarray(split.labels) == number)[:most]:
                image = Image.fromarray(np.asarray(split.images[index]).squeeze())
                image.convert(mode or image.mode).save(place / f"{index:05d}.png")
