"""Published grid searches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Point = tuple[tuple[str, float], ...]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A grid search over a recipe: `values` by the recipe's field, `reported` accuracy by (batch size, rate)."""

    recipe: str
    values: Mapping[str, Sequence[float]]
    report: str | None = None
    reported: Mapping[tuple[int, float], float] = field(default_factory=dict)


_BATCH_SIZES = (64, 128, 256)
_RATES = (0.001, 0.002, 0.005, 0.01)


def _table(*rows: tuple[float, ...]) -> dict[tuple[int, float], float]:
    """The report's percentages: a row a batch size, a column a learning rate."""
    return {
        (batch_size, rate): percentage / 100
        for batch_size, row in zip(_BATCH_SIZES, rows, strict=True)
        for rate, percentage in zip(_RATES, row, strict=True)
    }


GRIDS: dict[str, Grid] = {
    grid.recipe: grid
    for grid in (
        Grid(
            recipe="small_cnn-mnist",
            report="B",
            values={"batch_size": _BATCH_SIZES, "learning_rate": _RATES},
            reported=_table(
                (98.86, 98.78, 98.83, 98.53),
                (98.98, 98.78, 98.70, 98.47),
                (98.92, 98.86, 98.78, 98.40),
            ),
        ),
        Grid(
            recipe="row_lstm-mnist",
            report="B",
            values={"batch_size": _BATCH_SIZES, "learning_rate": _RATES},
            reported=_table(
                (99.18, 98.81, 98.54, 96.57),
                (98.78, 99.13, 98.03, 96.34),
                (99.13, 98.73, 98.44, 96.29),
            ),
        ),
    )
}
