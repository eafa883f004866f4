"""A clock for comparisons that does not depend on the machine's speed."""


class Ticking:
    """Every look takes fifty milliseconds: a budget is so many looks, whatever the machine does."""

    def __init__(self) -> None:
        self._looks = 0

    def __call__(self) -> float:
        self._looks += 1
        return 0.05 * self._looks
