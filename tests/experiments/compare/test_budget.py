"""The bar of a comparison: seconds of the budget, and what is being done in them."""

from typing import Any

from vision_zoo.core.progress import SilentProgress
from vision_zoo.experiments.compare.budget import BudgetProgress


class _Recorded(SilentProgress):
    def __init__(self) -> None:
        self.total = self.done = 0
        self.unit = ""
        self.said: list[str] = []

    def start(self, description: str, total: int, unit: str = "", *_rest: Any, **_named: Any) -> None:
        self.said.append(description)
        self.total, self.unit = total, unit

    def describe(self, description: str) -> None:
        self.said.append(description)

    def advance(self, steps: int = 1) -> None:
        self.done += steps

    def line(self, text: str) -> None:
        self.said.append(text)


def test_the_bar_follows_the_time_and_stays_one() -> None:
    spent, shown = [0.0], _Recorded()
    bar = BudgetProgress(shown, lambda: spent[0], 480.0)
    assert (shown.total, shown.unit) == (480, "s")
    inside = bar.part("lenet")
    inside.start("epoch 1/100", 12)
    spent[0] = 3.9
    inside.advance()
    inside.advance(5)
    assert shown.done == 3
    spent[0] = 61.2
    inside.line("epoch 1: what a run of its own would print")
    bar.line("lenet: half of them right")
    bar.describe("measuring lenet")
    assert shown.done == 61
    assert shown.said == [
        "comparing", "lenet, epoch 1/100", "lenet: half of them right (61 of 480 s)", "measuring lenet",
    ]  # fmt: skip
    spent[0] = 500.0
    bar.tick()
    assert shown.done == shown.total
