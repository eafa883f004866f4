"""The folder of a site or a Space, written whole or not at all."""

import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vision_zoo.core import atomic, json_file
from vision_zoo.core.errors import RunError, StorageError

Kind = Literal["site", "space"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The files of a site or a Space, as paths below its folder; it is in a file of the kind's name."""

    schema: Literal[1] = 1
    kind: Kind
    files: Sequence[str]


@contextmanager
def replacing(folder: Path, kind: Kind = "site") -> Iterator[Path]:
    """A new folder to write a site or a Space into. At the end it takes the place of `folder`, unless there is an error.

    Raises:
        StorageError: `folder` has files that are no part of one, or cannot be written.
    """
    place = folder.resolve()
    _require_replaceable(place, folder, kind)
    atomic.make_folder(place.parent)
    new, former = (
        place.with_name(f".{place.name}.{secrets.token_hex(4)}.{name}") for name in ("new", "former")
    )
    try:
        new.mkdir()
        yield new
        files = sorted(file.relative_to(new).as_posix() for file in new.rglob("*") if file.is_file())
        listing = _listing(kind)
        json_file.write(new / listing, Listing(kind=kind, files=[*files, listing]), indent=1)
        _require_replaceable(place, folder, kind)
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


def _require_replaceable(place: Path, shown: Path, kind: Kind) -> None:
    """Refuse a folder that has any file that was not written as a part of one."""
    if not place.exists():
        return
    if not place.is_dir():
        raise StorageError(
            f"{shown} is not a folder; expected a new folder, an empty one, or a {kind} to replace"
        )
    found = {
        file.relative_to(place).as_posix()
        for file in place.rglob("*")
        if not file.is_dir() or file.is_symlink()
    }
    foreign = sorted(found - _listed(place, kind))
    if foreign:
        raise StorageError(
            f"{shown} has files that are no part of a {kind}, such as {foreign[0]}; expected a new folder, an empty one, "
            f"or a {kind} to replace: choose another folder"
        )


def _listing(kind: Kind) -> str:
    return f"{kind}.json"


def _listed(place: Path, kind: Kind) -> set[str]:
    try:
        return set(json_file.read(place / _listing(kind), Listing).files)
    except RunError:
        return set()
