"""Rows of a results file that are measured one by one."""

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar


class _Named(Protocol):
    @property
    def name(self) -> str:
        """What the row is of."""
        ...


Row = TypeVar("Row", bound=_Named)


def with_row(rows: Sequence[Row], new: Row, names: Iterable[str]) -> list[Row]:
    """The rows with `new` in the place of an earlier one of its name, in the order of `names`."""
    kept = {row.name: row for row in [*rows, new]}
    return [kept[name] for name in names if name in kept]
