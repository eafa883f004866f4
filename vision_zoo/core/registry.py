"""Registries of names: vision-zoo's own entries, and plug-ins of installed packages.

A plug-in is an entry point of the group `vision_zoo.architectures`, `vision_zoo.datasets` or `vision_zoo.recipes`,
loaded when its name is looked up or listed.
"""

import difflib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Generic, NoReturn, Protocol, TypeVar

from vision_zoo.core.errors import PluginError, UnknownNameError

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

_PREFIX = "vision_zoo."


class _Named(Protocol):
    @property
    def name(self) -> str: ...


Entry = TypeVar("Entry")
NamedEntry = TypeVar("NamedEntry", bound=_Named)


@dataclass(frozen=True)
class _Offer:
    """A plug-in: the installed package that offers it, and where it is; `fault` is why that cannot be told."""

    package: str
    version: str
    entry_point: "EntryPoint | None"
    fault: str = ""


class Registry(Generic[NamedEntry]):
    """Entries by name. A name of vision-zoo's own is never a plug-in's.

    Args:
        kind: the singular noun for messages, such as `recipe`; plug-ins are entry points of `vision_zoo.<kind>s`.
        own: vision-zoo's own entries by name.
        entry_type: what a plug-in's entry point has to be an object of.
    """

    def __init__(self, kind: str, own: Mapping[str, NamedEntry], entry_type: type[NamedEntry]) -> None:
        self.kind = kind
        self._own = own
        self._type = entry_type
        self._group = f"{_PREFIX}{kind}s"
        self._listing = f"vision-zoo list {kind}s"

    def __contains__(self, name: object) -> bool:
        return name in self._own or any(_name(offer) == name for offer in _offers(self._group))

    def find(self, name: str) -> NamedEntry:
        """The entry called `name`; no plug-in of another name is loaded.

        Raises:
            UnknownNameError: no entry has that name; the message names the closest ones.
            PluginError: the package that offers it is broken, or several packages offer it.
        """
        if name in self._own:
            return self._own[name]
        offers = [offer for offer in _offers(self._group) if _name(offer) == name]
        if not offers:
            known = [*self._own, *(_name(offer) for offer in _offers(self._group) if offer.entry_point)]
            raise _unknown(self.kind, name, known, listing=self._listing)
        if len(offers) > 1:
            packages = " and ".join(sorted(offer.package for offer in offers))
            raise PluginError(
                f"the packages {packages} both provide the {self.kind} {name!r}; remove one of them"
            )
        return self._loaded(offers[0])

    def entries(self) -> tuple[dict[str, NamedEntry], list[str]]:
        """All entries by name, own ones first, and a line for every plug-in that cannot be used."""
        found, faults = dict(self._own), []
        for offer in sorted(_offers(self._group), key=_name):
            name = _name(offer)
            try:
                if name in self._own:
                    raise PluginError(
                        f"the package {offer.package} provides the {self.kind} {name!r}, which is the name of a "
                        "built-in one; the plug-in is ignored"
                    )
                found[name] = self._loaded(offer) if offer.entry_point is None else self.find(name)
            except PluginError as error:
                faults.append(str(error))
        return found, list(dict.fromkeys(faults))

    def package_of(self, name: str) -> dict[str, str]:
        """The version of the package that offers the plug-in `name`, by the package's name; empty for own entries."""
        if name in self._own:
            return {}
        return {offer.package: offer.version for offer in _offers(self._group) if _name(offer) == name}

    def _loaded(self, offer: _Offer) -> NamedEntry:
        if offer.entry_point is None:
            self._refuse(offer, offer.fault)
        try:
            entry = offer.entry_point.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001  (whatever it raises becomes one line)
            self._refuse(offer, f"{type(error).__name__}: {error}", error)
        if not isinstance(entry, self._type):
            self._refuse(offer, f"it has the type {type(entry).__name__}, expected {self._type.__name__}")
        if entry.name != offer.entry_point.name:
            self._refuse(offer, f"it calls itself {entry.name!r}; the entry point must have the same name")
        return entry

    def _refuse(self, offer: _Offer, reason: str, cause: BaseException | None = None) -> NoReturn:
        from vision_zoo.core.installation import uninstall

        what = f"{self.kind} {_name(offer)!r}" if offer.entry_point is not None else "plug-ins"
        raise PluginError(
            f"the {what} of the package {offer.package} cannot be used ({' '.join(reason.split()):.300}); "
            f"update that package, or remove it: {uninstall(offer.package)}"
        ) from cause


def _name(offer: _Offer) -> str:
    return "" if offer.entry_point is None else offer.entry_point.name


@cache
def _offers(group: str) -> tuple[_Offer, ...]:
    """The plug-ins of every installed package; of a package that is installed twice, the one that is imported."""
    from importlib.metadata import distributions

    found, seen = [], set()
    for distribution in distributions():
        if _PREFIX not in (distribution.read_text("entry_points.txt") or ""):
            continue
        package, version = _identity(distribution)
        if package in seen:
            continue
        seen.add(package)
        try:
            chosen = distribution.entry_points.select(group=group)
            found += [_Offer(package, version, entry_point) for entry_point in chosen]
        except Exception as error:  # noqa: BLE001  (one package's broken file keeps no other from being used)
            found.append(_Offer(package, version, None, f"its entry_points.txt is damaged: {error}"))
    return tuple(found)


def _identity(distribution: "Distribution") -> tuple[str, str]:
    with suppress(Exception):  # without METADATA it may raise anything
        name, version = distribution.metadata["Name"], distribution.metadata["Version"]
        if isinstance(name, str):
            return name, str(version)
    return str(getattr(distribution, "_path", "of an unknown name")), "unknown"


def lookup(kind: str, name: str, registry: Mapping[str, Entry], *, listing: str) -> Entry:
    """The entry called `name` of a plain mapping; UnknownNameError names the closest ones.

    `kind` is the singular noun for the message (`model`), `listing` the command that lists the names.
    """
    if name in registry:
        return registry[name]
    raise _unknown(kind, name, registry, listing=listing)


def _unknown(kind: str, name: str, known: Iterable[str], *, listing: str) -> UnknownNameError:
    return UnknownNameError(f"unknown {kind} {name!r}{near_misses(name, known)}; `{listing}` lists all")


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
