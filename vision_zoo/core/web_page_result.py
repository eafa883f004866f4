"""Pages of `export --html`, measured in a browser: a document of `results/`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vision_zoo.core.environment import Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPage:
    """A page with `models`, opened `repetitions` times from disk, each time in a new browser.

    Seconds are from opening it to its first answer; `warm_milliseconds` are the median of one picture afterwards.
    """

    models: Sequence[str]
    bytes: int
    repetitions: int
    median_first_answer_seconds: float
    largest_first_answer_seconds: float
    warm_milliseconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPageResult:
    """Pages of `export --html` in a browser."""

    schema: Literal[2] = 2
    kind: Literal["web_page"] = "web_page"
    environment: Environment
    browser: str
    pages: Sequence[WebPage]
