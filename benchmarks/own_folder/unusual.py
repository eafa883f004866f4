"""`vision-zoo compare` on unusual folders: `results/<environment>/own_folder_unusual.json`.

Folders of 2, 20 and 300 classes, of 5 and 5,000 pictures, with 100 times as many pictures of one class as of another, of
gray pictures, and with files that are no pictures or strange ones. Each is compared in 2 minutes, and what is recommended
is scored on other pictures of the same classes.

    python -m benchmarks.own_folder.unusual [FOLDER…]

16 minutes; nothing else may run beside it. Folders that are not named keep their earlier rows.
"""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.own_folder.comparison import CommandError, compared
from benchmarks.own_folder.folders import Folders, first, imagenette, made_once
from benchmarks.own_folder.rows import with_row
from vision_zoo.core.environment import describe
from vision_zoo.core.json_file import read_if_present
from vision_zoo.core.own_folder_result import UnusualFolder, UnusualFoldersResult
from vision_zoo.core.results import result_path, write_result
from vision_zoo.data import find_dataset

ROOT = Path(__file__).resolve().parents[2]
_BUDGET = "2m"
_VIEWS, _NEW_VIEWS, _VIEW_SIDE = 5, 3, 96


def twenty_classes(folders: Folders, data_dir: Path) -> None:
    """30 pictures each of the digits of MNIST and the clothes of Fashion-MNIST."""
    for name in ("mnist", "fashion-mnist"):
        first(folders, data_dir, images=30, name=name)


def many_classes(folders: Folders, data_dir: Path) -> None:
    """300 photos of Imagenette, each a class of 5 random views; new pictures are 3 other views of each."""
    photos = Folders(folders.own.with_name("photos"), folders.own.with_name("other-photos"))
    imagenette(photos, data_dir, images=30, seed=0)
    chance = np.random.default_rng(0)
    for number, path in enumerate(sorted(photos.own.rglob("*.JPEG"))):
        for folder, views in ((folders.own, _VIEWS), (folders.new, _NEW_VIEWS)):
            place = folder / f"object {number:03d}"
            place.mkdir(parents=True)
            for view in range(views):
                _view(path, chance).save(place / f"{view}.jpg", quality=85)
    for drawn in (photos.own, photos.new):
        shutil.rmtree(drawn)


def _view(path: Path, chance: np.random.Generator) -> Image.Image:
    """Half of the photo or more, at random, half of the time mirrored."""
    with Image.open(path) as opened:
        photo = opened.convert("RGB")
    side = int(min(photo.size) * chance.uniform(0.7, 1))
    left, top = (int(chance.integers(whole - side + 1)) for whole in photo.size)
    view = photo.crop((left, top, left + side, top + side)).resize((_VIEW_SIDE, _VIEW_SIDE))
    return view.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if chance.random() < 0.5 else view


def strange_files(folders: Folders, data_dir: Path) -> None:
    """30 pictures a class of CIFAR-10 in several formats, beside files that cannot be read, and others."""
    first(folders, data_dir, images=30)
    (folders.own / "notes.txt").write_text("not a picture")
    (folders.own / ".hidden").mkdir()
    for place in sorted(folders.own.glob("[!.]*/")):
        paths = sorted(place.iterdir())
        with Image.open(paths[0]) as opened:
            picture = opened.convert("RGB")
        picture.convert("CMYK").save(place / "four inks.jpg")
        picture.convert("P").save(place / "palette.gif")
        picture.convert("RGBA").save(place / "transparent.webp")
        picture.convert("I;16").save(place / "16 bits.png")
        picture.resize((3, 2000)).save(place / "narrow ☂.png")
        (place / "empty.jpg").touch()
        (place / "text.png").write_text("not a picture")
        (place / "cut off.png").write_bytes(paths[1].read_bytes()[:200])
        (place / "Thumbs.db").write_bytes(b"\0" * 64)
        (place / "gone.png").symlink_to("nowhere.png")


_EVERY_SECOND = {label: (300, 3)[number % 2] for number, label in enumerate(find_dataset("cifar10").labels)}
UNUSUAL: dict[str, Callable[..., None]] = {
    "2 classes": partial(first, images={"cat": 150, "dog": 150}),
    "20 classes": twenty_classes,
    "300 classes": many_classes,
    "5 pictures": partial(first, images={"cat": 3, "dog": 2}),
    "5,000 pictures": partial(first, images=500),
    "imbalanced 1:100": partial(first, images=_EVERY_SECOND),
    "gray": partial(first, images=30, name="fashion-mnist", mode="RGB"),
    "strange files": strange_files,
}
"""What makes the folders, and those of new pictures, in a data folder."""


def measured(name: str, folders: Folders, place: Path, data_dir: Path) -> UnusualFolder:
    """Compare a folder and score what is recommended, or keep why it was refused."""
    classes = [folder for folder in folders.own.iterdir() if folder.is_dir() and folder.name[0] != "."]
    pictures = sum(1 for folder in classes for _ in folder.iterdir())
    row = UnusualFolder(name=name, pictures=pictures, classes=len(classes), seconds=0.0)
    started = time.perf_counter()
    try:
        run = compared(folders, place, _BUDGET, data_dir, draw=0, repeat=0)
    except CommandError as error:
        return replace(row, seconds=round(time.perf_counter() - started, 1), refusal=str(error))
    return replace(
        row,
        seconds=run.seconds,
        recommended=run.recommended,
        test_accuracy=run.test_accuracy,
        new_accuracy=run.new_accuracy,
        new_images=run.new_images,
        warning=run.warning,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="*", default=list(UNUSUAL), metavar="FOLDER")
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("VISION_ZOO_DATA"))
    parser.add_argument("--results-dir", type=Path, default=ROOT / "results")
    parser.add_argument("--work-dir", type=Path, default=ROOT / "runs" / "own_folder")
    options = parser.parse_args()
    if options.data_dir is None:
        parser.error("expected --data-dir or VISION_ZOO_DATA: where the datasets are")
    if unknown := set(options.folders) - set(UNUSUAL):
        parser.error(f"unknown folder {min(unknown)}; choose from {', '.join(UNUSUAL)}")
    data_dir, work_dir = Path(options.data_dir).resolve(), options.work_dir.resolve()
    environment = describe()
    path = result_path(options.results_dir, environment, "own_folder_unusual")
    document = read_if_present(path, UnusualFoldersResult) or UnusualFoldersResult(environment=environment)
    for name in options.folders:
        folders = made_once(work_dir / "unusual" / name, partial(UNUSUAL[name], data_dir=data_dir))
        row = measured(name, folders, work_dir / f"unusual-{name}", data_dir)
        document = replace(document, rows=with_row(document.rows, row, UNUSUAL), environment=environment)
        write_result(path, document)
        print(row, file=sys.stderr, flush=True)
    print(path)


if __name__ == "__main__":
    main()
