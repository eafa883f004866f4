"""Which of several models are worth a choice: those that no other beats in both cost and value."""

import math
from collections.abc import Sequence


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """The indices of the points (cost, value) that no other point beats in both, by rising cost."""
    front: list[int] = []
    best = -math.inf
    for index in sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1])):
        if points[index][1] > best:
            front.append(index)
            best = points[index][1]
    return front
