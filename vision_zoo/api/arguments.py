"""What the functions of the API have in common."""

import functools
import inspect
import numbers
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import GenericAlias, UnionType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, get_args, get_origin

from vision_zoo.core.errors import UsageError

if TYPE_CHECKING:
    from vision_zoo.core.progress import Progress

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def checked(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Raise UsageError for an argument of another type than annotated, MissingExtraError where an extra is missing.

    Whole numbers may be numpy's, numbers whole, and lists any sequence. Annotations that are text are not checked.
    """
    signature = inspect.signature(function)
    annotations = {
        name: GenericAlias(tuple, (parameter.annotation, ...))
        if parameter.kind is parameter.VAR_POSITIONAL
        else parameter.annotation
        for name, parameter in signature.parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD
        and parameter.annotation is not parameter.empty
        and not isinstance(parameter.annotation, str)
    }

    @functools.wraps(function)
    def wrapped(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{function.__name__}() {error}") from None
        for name, annotation in annotations.items():
            if name in bound.arguments:
                bound.arguments[name] = _as_annotated(name, bound.arguments[name], annotation)
        try:
            return function(*bound.args, **bound.kwargs)
        except ModuleNotFoundError as error:
            from vision_zoo.core.installation import missing_package

            missing = missing_package(error)
            if missing is None:
                raise
            raise missing from error

    return wrapped


_WORDS = {str: "text", Path: "a path", bool: "True or False", int: "a whole number", float: "a number"}


def _as_annotated(name: str, value: Any, annotation: Any) -> Any:
    kinds = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    lists = [kind for kind in kinds if get_origin(kind) is not None]
    plain = tuple(kind for kind in kinds if kind not in lists)
    if isinstance(value, bool) or getattr(value, "dtype", None) == "bool":  # a whole number to Python
        if bool in plain:
            return bool(value)
    elif isinstance(value, plain):
        return value
    elif Path in plain and isinstance(value, os.PathLike):
        return Path(value)
    elif int in plain and isinstance(value, numbers.Integral):
        return int(value)
    elif float in plain and isinstance(value, numbers.Real):
        return float(value)
    for kind in lists:
        if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
            inner = get_args(kind)[0]
            return [_as_annotated(f"an entry of {name}", entry, inner) for entry in value]
    expected = [_WORDS[kind] for kind in plain if kind in _WORDS] + ["a list"] * len(lists)
    raise UsageError(f"{name} is {value!r:.60}; expected {' or '.join(expected)}")


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
