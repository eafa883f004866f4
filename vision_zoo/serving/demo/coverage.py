"""Prediction sets on the page: the choice of a coverage, and parts of an answer that depend on it.

An answer has the parts of every coverage; page.js shows those of the chosen one, as soon as it is chosen.
"""

import html
from collections.abc import Iterable, Mapping

from vision_zoo.artifact.calibration import label_set
from vision_zoo.serving.demo.answers import Answer
from vision_zoo.serving.session import Session
from vision_zoo.serving.uncertainty import Uncertainty, coverages


def coverage_choice(sessions: Iterable[Session]) -> str:
    """The choice of a coverage as HTML; empty where no model is calibrated."""
    rates = [html.escape(rate) for rate in coverages(sessions)]
    options = "".join(f'<option value="{rate}">{rate} % prediction set</option>' for rate in rates)
    return (
        '<select id="coverage" aria-label="Prediction set"><option value="">No prediction set</option>'
        f"{options}</select>"
        if rates
        else ""
    )


def sets_of(answer: Answer) -> dict[str, Uncertainty]:
    """How sure a model is, by coverage in per cent; empty where it is not calibrated."""
    calibration = answer.session.metadata.calibration
    thresholds = {} if calibration is None else calibration.set_thresholds
    return {
        rate: Uncertainty(label_set(answer.ranked, threshold), answer.familiar)
        for rate, threshold in thresholds.items()
    }


def by_coverage(usual: str, asked: Mapping[str, str]) -> str:
    """HTML of a text that is `usual` until one of the coverages of `asked` is chosen."""
    if not asked:
        return html.escape(usual)
    parts = "".join(
        f'<span data-coverage="{html.escape(rate)}" hidden>{html.escape(text)}</span>'
        for rate, text in asked.items()
    )
    return f'<span class="sets"><span data-coverage="">{html.escape(usual)}</span>{parts}</span>'
