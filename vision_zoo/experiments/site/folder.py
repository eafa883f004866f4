"""The folder of a site, written whole or not at all."""

import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vision_zoo.core import atomic, json_file
from vision_zoo.core.errors import RunError, StorageError

LISTING = "site.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The files of a site, as paths below its folder."""

    schema: Literal[1] = 1
    kind: Literal["site"]
    files: Sequence[str]


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A new folder to write a site into. At the end it takes the place of `folder`, unless an exception is raised.

    Raises:
        StorageError: `folder` has files that are no site's, or cannot be written.
    """
    place = folder.resolve()
    _require_replaceable(place, folder)
    atomic.make_folder(place.parent)
    new, former = (
        place.with_name(f".{place.name}.{secrets.token_hex(4)}.{kind}") for kind in ("new", "former")
    )
    try:
        new.mkdir()
        yield new
        files = sorted(file.relative_to(new).as_posix() for file in new.rglob("*") if file.is_file())
        json_file.write(new / LISTING, Listing(kind="site", files=[*files, LISTING]), indent=1)
        _require_replaceable(place, folder)
        _swap(new, place, former)
    except OSError as error:
        raise atomic.storage_error(folder, error) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(former, ignore_errors=True)


def _swap(new: Path, place: Path, former: Path) -> None:
    if place.exists():
        place.rename(former)
    try:
        new.rename(place)
    except OSError:
        with suppress(OSError):
            former.rename(place)
        raise


def _require_replaceable(place: Path, shown: Path) -> None:
    """Refuse a folder that has any file that was not written as a part of a site."""
    if not place.exists():
        return
    if not place.is_dir():
        raise StorageError(
            f"{shown} is not a folder; expected a new folder, an empty one, or a site to replace"
        )
    found = {
        file.relative_to(place).as_posix()
        for file in place.rglob("*")
        if not file.is_dir() or file.is_symlink()
    }
    foreign = sorted(found - _listed(place))
    if foreign:
        raise StorageError(
            f"{shown} has files that are no part of a site, such as {foreign[0]}; expected a new folder, an empty one, "
            "or a site to replace: choose another folder"
        )


def _listed(place: Path) -> set[str]:
    try:
        return set(json_file.read(place / LISTING, Listing).files)
    except RunError:
        return set()
