"""A clock for comparisons that does not depend on the machine's speed."""


class Ticking:
    """Every look takes `seconds`: a budget is so many looks, whatever the machine does."""

    def __init__(self, seconds: float = 0.05) -> None:
        self._looks, self._seconds = 0, seconds

    def __call__(self) -> float:
        self._looks += 1
        return self._seconds * self._looks
