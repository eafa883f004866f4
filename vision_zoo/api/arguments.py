"""What the functions of the API have in common."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from vision_zoo.core.progress import Progress

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def saying_which_extra(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Raise MissingExtraError where a package is missing that an extra brings."""

    @functools.wraps(function)
    def wrapped(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        except ModuleNotFoundError as error:
            from vision_zoo.core.installation import missing_package

            missing = missing_package(error)
            if missing is None:
                raise
            raise missing from error

    return wrapped


@contextmanager
def progress_shown(shown: bool) -> Iterator["Progress"]:
    """What a computation reports to: stderr, or nobody."""
    from vision_zoo.core.progress import SilentProgress, progress_on_stderr

    if not shown:
        yield SilentProgress()
        return
    with progress_on_stderr() as progress:
        yield progress


def optional_path(given: str | Path | None) -> Path | None:
    """A path that may be text, or none."""
    return None if given is None else Path(given)
