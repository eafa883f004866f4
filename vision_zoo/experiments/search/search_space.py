"""Search spaces: fields of a recipe, each with a list of values or a range."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vision_zoo.core.errors import UsageError
from vision_zoo.recipes.options import OPTIONS, option_name
from vision_zoo.recipes.recipe import Recipe

# The options of `train` that are numbers, by their names there and in files.
_FIELDS: dict[str, type[int] | type[float]] = {
    name: setting.type for name, setting in OPTIONS.items() if setting.type in (int, float)
}
_ALIASES = {option_name(name): name for name in _FIELDS}


@dataclass(frozen=True)
class Range:
    """All values from `low` to `high`; with `log`, each order of magnitude counts the same."""

    low: float
    high: float
    log: bool = False


Values = Mapping[str, Sequence[float]]
Space = Mapping[str, Sequence[float] | Range]


def is_whole(field: str) -> bool:
    """Whether the field takes whole numbers only."""
    return _FIELDS[field] is int


def parse_grid(options: Sequence[str]) -> dict[str, list[float]]:
    """`["batch_size=64,128", "lr=0.001,0.01"]` as values by field.

    Raises:
        UsageError: an option is not FIELD=VALUE,…, or no such field can be varied.
    """
    values: dict[str, list[float]] = {}
    for option in options:
        field, listed = _split(option, "--grid", "FIELD=VALUE,…")
        if field in values:
            raise UsageError(f"--grid names {field} twice; give all its values in one --grid")
        try:
            values[field] = [_FIELDS[field](text) for text in listed.split(",")]
        except ValueError as error:
            raise UsageError(f"--grid {option!r} has a value of the wrong type") from error
        if len(set(values[field])) != len(values[field]):
            raise UsageError(f"--grid {option!r} has a value twice")
    return values


def parse_ranges(options: Sequence[str]) -> dict[str, Range]:
    """`["lr=0.0001:0.1:log"]` as ranges by field.

    Raises:
        UsageError: an option is not FIELD=LOW:HIGH or FIELD=LOW:HIGH:log, or no such field can be varied.
    """
    ranges: dict[str, Range] = {}
    for option in options:
        field, limits = _split(option, "--range", "FIELD=LOW:HIGH")
        if field in ranges:
            raise UsageError(f"--range names {field} twice")
        parts = limits.split(":")
        try:
            low, high = (_FIELDS[field](text) for text in parts[:2])
        except ValueError as error:
            raise UsageError(f"--range {option!r} has a limit of the wrong type") from error
        log = parts[2:] == ["log"]
        if parts[2:] not in ([], ["log"]) or not low < high or (log and low <= 0):
            raise UsageError(
                f"--range {option!r} cannot be used; expected FIELD=LOW:HIGH or FIELD=LOW:HIGH:log, LOW below HIGH"
            )
        ranges[field] = Range(low, high, log)
    return ranges


def _split(option: str, name: str, form: str) -> tuple[str, str]:
    given, equals, rest = option.partition("=")
    field = _ALIASES.get(given, given)
    if not equals or field not in _FIELDS:
        raise UsageError(
            f"{name} {option!r} cannot be used; expected {form} with one of {', '.join(_FIELDS)}"
        )
    return field, rest


def tuned(recipe: Recipe) -> Recipe:
    """The recipe as a point of a search: validation decides, and the best epoch is kept where nothing stops early."""
    return (
        recipe if recipe.stopping.patience is not None else recipe.override(patience=recipe.stopping.epochs)
    )


def describe(values: Mapping[str, float]) -> str:
    """`batch size 64, learning rate 0.001`."""
    return ", ".join(f"{field.replace('_', ' ')} {value:.4g}" for field, value in values.items())


def folder_name(values: Mapping[str, float]) -> str:
    """The folder of a point's run."""
    return ",".join(f"{field}={value:.10g}" for field, value in values.items())
