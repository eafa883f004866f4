"""Print exactly one document on stdout, whatever libraries, threads and child processes print."""

import contextlib
import os
import sys
from typing import Any

import typer

from vision_zoo.core import json_file


class _Stdout:
    """`real` is a descriptor of stdout while descriptor 1 is redirected to stderr; `reserved` stays set afterwards."""

    real: int | None = None
    reserved = False


def reserve_stdout(context: typer.Context, wanted: bool) -> bool:
    """Redirect stdout to stderr until the command ends, except for `print_document`."""
    if not wanted or _Stdout.real is not None or context.resilient_parsing or not _stdout_is_descriptor_1():
        return wanted
    sys.stdout.flush()
    _Stdout.real = os.dup(1)
    _Stdout.reserved = True
    os.dup2(2, 1)
    context.call_on_close(_release)
    return wanted


def print_document(text: str) -> None:
    """Write `text` and a newline to the real stdout; OSError if it cannot be written."""
    if _Stdout.real is None:
        print(text)
        return
    rest = memoryview(f"{text}\n".encode(sys.stdout.encoding, errors="replace"))
    while rest:  # without a buffer: nothing is left to be written when Python exits
        rest = rest[os.write(_Stdout.real, rest) :]


def print_json(document: Any) -> None:
    print_document(json_text(document))


def json_text(document: Any) -> str:
    """Format `document` as JSON without NaN, which few programs can read."""
    return json_file.text(document, allow_nan=False)


def close_stdout() -> None:
    """Flush stdout (OSError); after a document, redirect to stderr what is printed while Python exits."""
    sys.stdout.flush()
    if _Stdout.reserved:
        os.dup2(2, 1)


def _release() -> None:
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    if _Stdout.real is not None:
        os.dup2(_Stdout.real, 1)
        os.close(_Stdout.real)
        _Stdout.real = None


def _stdout_is_descriptor_1() -> bool:
    try:
        return sys.stdout.fileno() == 1
    except (OSError, ValueError):  # a stream in memory
        return False
