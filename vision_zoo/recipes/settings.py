"""Settings as frozen dataclasses: the annotation of a field holds its type, bounds and help text.

    gamma: Annotated[float, Meta(gt=0, le=1), "Factor of the learning rate at each step."] = 0.1

A field with a help text is an option of the command line.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from vision_zoo.core.errors import UsageError
from vision_zoo.core.registry import near_misses

_TYPES: Mapping[Any, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_LIMITS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}


@dataclass(frozen=True)
class Group:
    """Settings of one topic. A value of another type than its field's or out of its bounds raises UsageError."""

    def __post_init__(self) -> None:
        kind: type = type(self)
        for name, annotation in _annotations(kind).items():
            _check(name, getattr(self, name), annotation)


@dataclass(frozen=True)
class Setting:
    """A field by the name that files and options have for it.

    `group` is the field of the whole that holds the group, if it is in one; `nested` says that files hold that group as a
    table, because it may be missing. `default` is `dataclasses.MISSING` for none.
    """

    name: str
    field: str
    annotation: Any
    default: Any
    group: str | None = None
    nested: bool = False

    @property
    def type(self) -> Any:
        """The type without None, bounds and help."""
        return _parts(self.annotation)[0]

    @property
    def is_group(self) -> bool:
        return _is_group(self.type)

    @property
    def help(self) -> str:
        """The text of the option, empty if the field is none."""
        return next((text for text in _parts(self.annotation)[1] if isinstance(text, str)), "")

    def of(self, whole: Any) -> Any:
        """The value in `whole`."""
        return getattr(whole if self.group is None else getattr(whole, self.group), self.field)

    def accept(self, value: Any) -> Any:
        """`value` as the field holds it: lists become tuples and tables groups.

        Raises:
            UsageError: it is of another type, out of bounds, or a table with an unknown key.
        """
        if isinstance(value, list):
            value = tuple(value)
        if self.is_group and isinstance(value, Mapping):
            value = self.type(
                **{
                    key: lookup(settings_of(self.type), key, f"{self.name}.").accept(entry)
                    for key, entry in value.items()
                }
            )
        _check(self.name, value, self.annotation)
        return value


@cache
def settings_of(kind: type) -> Mapping[str, Setting]:
    """The settings of a dataclass and its groups by name, in order. A group's field `kind` is named like the group."""
    found = {}
    defaults = {
        entry.name: entry.default_factory() if callable(entry.default_factory) else entry.default
        for entry in dataclasses.fields(kind)
    }
    for name, annotation in _annotations(kind).items():
        group, optional = _parts(annotation)[0], NoneType in get_args(annotation)
        if optional or not _is_group(group):
            found[name] = Setting(name, name, annotation, defaults[name])
        if _is_group(group):
            for inner in settings_of(group).values():
                outer = name if inner.name == "kind" else inner.name
                found[outer] = dataclasses.replace(inner, name=outer, group=name, nested=optional)
    return found


def lookup(known: Mapping[str, Setting], name: str, prefix: str = "") -> Setting:
    """The setting called `name`.

    Raises:
        UsageError: there is none.
    """
    if name not in known:
        initials = [full for full in known if "".join(word[0] for word in full.split("_")) == name.lower()]
        near = f": did you mean {initials[0]!r}" if initials else near_misses(name, known)
        near = near or "; expected a field of a recipe, such as epochs"
        raise UsageError(f"unknown key {prefix + name!r}{near}")
    return known[name]


def grouped(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments for the dataclass `kind`: its settings by name, and whole groups, put into groups.

    Raises:
        UsageError: a name is unknown, or a value of another type or out of bounds.
    """
    groups = {name: hint for name, hint in _annotations(kind).items() if _is_group(_parts(hint)[0])}
    arguments: dict[str, Any] = {}
    members: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        if name in groups and isinstance(value, Group):
            arguments[name] = value
            continue
        setting = lookup(settings_of(kind), name)
        into = arguments if setting.group is None else members.setdefault(setting.group, {})
        into[setting.field] = setting.accept(value)
    for name, changes in members.items():
        type_, base = _parts(groups[name])[0], arguments.get(name)
        group = type_(**changes) if base is None else dataclasses.replace(base, **changes)
        unused = NoneType in get_args(groups[name]) and group == type_()
        arguments[name] = None if unused else group
    return arguments


def without_defaults(kind: type, values: Mapping[str, Any], field_names: Mapping[str, str]) -> dict[str, Any]:
    """JSON values of a `kind`'s fields without those that are the field's default, in nested ones too.

    `field_names` are the names of fields that have another key.
    """
    kept = {}
    for key, value in values.items():
        setting = settings_of(kind).get(field_names.get(key, key))
        plain = value
        if setting is not None and setting.is_group and isinstance(value, Mapping):
            plain = without_defaults(setting.type, value, field_names)
        if setting is None or plain != setting.default:
            kept[key] = plain
    return kept


def refuse(name: str, value: object, expected: str) -> UsageError:
    """The error for a value that a setting cannot have."""
    return UsageError(f"{name.replace('_', ' ')} {value!r:.60} is out of range; expected {expected}")


def _check(name: str, value: Any, annotation: Any) -> None:
    try:
        msgspec.convert(value, annotation)
    except msgspec.ValidationError as error:
        raise refuse(name, value, _expected(annotation)) from error


def _expected(annotation: Any) -> str:
    kind, said = _parts(annotation)
    if get_origin(kind) is Literal:
        return ", ".join(get_args(kind))
    if get_origin(kind) is tuple:
        one, *others = get_args(kind)
        number = "" if others == [...] else f"{1 + len(others)} "
        return f"a list of {number}values, each {_expected(one)}"
    limits = [
        f"{words} {limit:,}"
        for meta in said
        for key, words in _LIMITS.items()
        if (limit := getattr(meta, key, None)) is not None
    ]
    return ", ".join([_TYPES.get(kind, "a table"), *limits])


def _parts(annotation: Any) -> tuple[Any, Iterable[Any]]:
    """The type without None and all that its annotations say."""
    said: list[Any] = []
    while (origin := get_origin(annotation)) in (Annotated, Union, UnionType):
        if origin is Annotated:
            said += annotation.__metadata__
            annotation = annotation.__origin__
        else:
            annotation = next(kind for kind in get_args(annotation) if kind is not NoneType)
    return annotation, said


def _is_group(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Group)


@cache
def _annotations(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind, include_extras=True)
