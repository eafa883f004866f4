"""The measurement of pretrained networks in 8-bit integers keeps the rows that it does not measure again."""

from typing import Any

from benchmarks.own_folder.backbones import BACKBONES
from benchmarks.own_folder.rows import with_row
from vision_zoo.core.own_folder_result import BackboneMeasurement


def test_a_network_that_is_measured_again_replaces_its_row() -> None:
    def measured(name: str, images: int) -> BackboneMeasurement:
        numbers: dict[str, Any] = dict.fromkeys(BackboneMeasurement.__dataclass_fields__, 0)
        return BackboneMeasurement(**{**numbers, "name": name, "images": images})

    last, first = list(BACKBONES)[-1], next(iter(BACKBONES))
    rows = with_row(
        with_row([measured(last, 1)], measured(first, 2), BACKBONES), measured(last, 3), BACKBONES
    )
    assert [(one.name, one.images) for one in rows] == [(first, 2), (last, 3)]
