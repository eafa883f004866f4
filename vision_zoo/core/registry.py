"""Looking a name up in one of the explicit registries, with near misses when it is not there."""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

from vision_zoo.core.errors import UnknownNameError

Entry = TypeVar("Entry")


def lookup(kind: str, name: str, registry: Mapping[str, Entry], *, listing: str) -> Entry:
    """The entry called `name`.

    `kind` is the singular noun for the message (`recipe`), `listing` the command that lists the names.

    Raises:
        UnknownNameError: no entry has that name; the message names the closest ones.
    """
    if name in registry:
        return registry[name]
    raise UnknownNameError(f"unknown {kind} {name!r}{near_misses(name, registry)}; `{listing}` lists all")


def near_misses(name: str, names: Iterable[str]) -> str:
    """`: did you mean 'a' or 'b'?`-like text without the question mark, empty when nothing is close."""
    known = list(names)
    folded = {candidate.replace("_", "-").lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.replace("_", "-").lower(), folded, n=3, cutoff=0.5)
    if close:
        return ": did you mean " + " or ".join(repr(folded[match]) for match in close)
    if known and len(known) <= 6:
        return ": expected one of " + ", ".join(repr(candidate) for candidate in known)
    return ""
