"""Sources of a dataset, in order: --data-dir, VISION_ZOO_DATA, the user cache, a download."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from vision_zoo.core.errors import DataError
from vision_zoo.data.cache import cache_folder
from vision_zoo.data.scan import cannot_be_read

ENVIRONMENT_VARIABLE = "VISION_ZOO_DATA"


def locate(
    dataset: str,
    data_dir: Path | None,
    *,
    present: Callable[[Path], bool],
    download: Callable[[Path], None],
    expected: str,
) -> Path:
    """The folder that holds `dataset`: `<data folder>/<dataset>`, downloaded into the user cache if need be.

    An explicit `data_dir` is the only place looked at. `present` tells whether a folder holds the
    dataset, `download` fills an empty folder or raises, `expected` names the files for the message.

    Raises:
        DataError: it is nowhere and cannot be downloaded, or may not be read.
    """
    if data_dir is not None:
        if _is_present(data_dir / dataset, present):
            return data_dir / dataset
        raise DataError(
            f"no {dataset} under {data_dir}; expected {data_dir / dataset / expected}: pass a data folder that has "
            "it, or omit --data-dir to download it"
        )
    folders = [cache_folder() / "data"]
    if os.environ.get(ENVIRONMENT_VARIABLE):
        folders.insert(0, Path(os.environ[ENVIRONMENT_VARIABLE]))
    for folder in folders:
        if _is_present(folder / dataset, present):
            return folder / dataset
    target = folders[-1] / dataset
    try:
        _fill(target, download)
    except ModuleNotFoundError:
        raise  # the extra is missing, not the network
    except Exception as error:
        looked_at = " and ".join(str(folder) for folder in folders)
        raise DataError(
            f"found no {dataset} in {looked_at}, and the data could not be downloaded ({_reason(error)}); pass "
            f"--data-dir FOLDER with {Path(dataset) / expected}, or set {ENVIRONMENT_VARIABLE} to that folder"
        ) from error
    return target


def _fill(target: Path, download: Callable[[Path], None]) -> None:
    """Put what `download` writes into `target`; where it fails or is interrupted, nothing is left behind."""
    missing = [folder for folder in target.parents if not folder.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".downloading-") as temporary:
            downloaded = Path(temporary) / target.name
            downloaded.mkdir()
            download(downloaded)
            target.mkdir(exist_ok=True)
            for entry in downloaded.iterdir():
                shutil.rmtree(target / entry.name, ignore_errors=True)
                entry.replace(target / entry.name)
    except BaseException:
        for folder in missing:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _is_present(folder: Path, present: Callable[[Path], bool]) -> bool:
    try:
        return present(folder)
    except OSError as error:
        raise cannot_be_read(folder, error) from error


def remedy(path: Path) -> str:
    """What to do about a damaged file of a dataset: what we downloaded ourselves, we download again."""
    if path.is_relative_to(cache_folder()):
        folder = cache_folder() / "data"
        inside = path.relative_to(folder).parts if path.is_relative_to(folder) else ()
        return (
            f"delete the cache folder {folder / inside[0] if inside else cache_folder()} to download it again"
        )
    return "restore it or download it again"


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}…"
