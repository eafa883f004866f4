"""Answers as HTML: a headline, what the most accurate model says and sees, and a table of the others."""

import base64
import html
import io
from collections.abc import Sequence

from PIL import Image

from vision_zoo.artifact.calibration import UNKNOWN
from vision_zoo.serving.demo.answers import Answer
from vision_zoo.serving.demo.coverage import by_coverage, sets_of
from vision_zoo.serving.uncertainty import Uncertainty, coverages

_MOST_BARS = 10
_MOST_LABELS = 3
_WARNED = "⚠ The image is unlike those that the model knows; its probabilities are unreliable."


def verdict(answers: Sequence[Answer], *, key: str) -> str:
    """The answers to the input `key`, the most accurate model's first; there is one at least. Takes milliseconds."""
    best, *others = answers
    parts = [_status(_headline(answers)), _card(best, doubtful=_doubt(answers) is not None)]
    if others:
        parts.append(_table(others, best.label))
    if any(answer.familiar is False for answer in answers):
        parts.append(f'<p class="hint">{_WARNED}</p>')
    return f'<div class="one verdict" data-of="{html.escape(key)}">{"".join(parts)}</div>'


def message(text: str, *, key: str | None = None) -> str:
    """One line instead of answers; `key` names the input that it is about."""
    shown = _status(html.escape(text))
    return shown if key is None else f'<div data-of="{html.escape(key)}">{shown}</div>'


def png_url(image: Image.Image, key: str | None = None) -> str:
    """An image as a data URL, which names the input `key` that it is of. Takes milliseconds: not for the event loop."""
    content = io.BytesIO()
    image.save(content, "PNG")
    of = "" if key is None else f";of={key}"
    return f"data:image/png{of};base64,{base64.b64encode(content.getvalue()).decode()}"


def _status(content: str) -> str:
    return f'<p class="said" role="status">{content}</p>'


def _headline(answers: Sequence[Answer]) -> str:
    best = answers[0]
    who = "the model" if len(answers) == 1 else f"the most accurate of {len(answers)} models"
    doubt = _doubt(answers)
    verb = "says" if doubt is None else "guesses"
    said = f"{who} {verb} <strong>{html.escape(best.label)}</strong>, {_percent(best.ranked[0][1])}."
    return f"{said[0].upper()}{said[1:]}" if doubt is None else f"Unsure: {doubt}; {said}"


def _doubt(answers: Sequence[Answer]) -> str | None:
    """Why the most accurate model's answer is not to be relied on; None for no reason."""
    best = answers[0]
    warnings = sum(answer.familiar is False for answer in answers)
    if best.familiar is False:
        return "the image is unlike the training data"
    if 2 * warnings > len(answers):
        return f"{warnings} of {len(answers)} models find the image unlike their training data"
    return None if best.ranked[0][1] >= 0.5 else "no label is more likely than not"


def _card(answer: Answer, *, doubtful: bool) -> str:
    metadata = answer.session.metadata
    name, label = html.escape(answer.session.name), html.escape(answer.label)
    shown = list(answer.ranked[:_MOST_BARS])
    if len(shown) == len(metadata.labels):  # they keep their places, so that the eye finds them again
        shown.sort(key=lambda entry: metadata.labels.index(entry[0]))
    bars = "".join(_bar(other, share) for other, share in shown)
    usual, sets = "Unsure" if doubtful else answer.label, sets_of(answer)
    said = {rate: usual if found.label == answer.label else found.label for rate, found in sets.items()}
    longest = max(map(len, [usual, *said.values()]))
    listed = {rate: f"{rate} % set: {', '.join(found.labels)}" for rate, found in sets.items()}
    height, width = answer.pixels.shape[:2]
    seen = png_url(Image.fromarray(answer.pixels.squeeze()))
    facts = (
        f"{answer.milliseconds:.2f} ms · {answer.session.size / 2**20:.2f} MiB · "
        f"{_percent(metadata.test_accuracy, 2)} of {metadata.test_images:,} test images"
    )
    return (
        f'<article class="card" aria-label="{name}: {label}, {_percent(answer.ranked[0][1])}"><h2>{name}</h2>'
        f'<div class="head"><p class="label" style="--letters:{longest}">{by_coverage(usual, said)}</p>'
        f'<img class="view" src="{seen}" alt="What {name} sees: {width} × {height} pixels"></div>'
        f'<div class="bars" role="list" aria-label="Probabilities">{bars}</div>'
        f'<p class="set">{by_coverage("", listed)}</p><p class="facts">{facts}</p></article>'
    )


def _bar(label: str, share: float) -> str:
    name = html.escape(label)
    return (
        f'<div class="bar" role="listitem"><span class="name" title="{name}">{name}</span>'
        f'<span class="track" aria-hidden="true"><span class="fill" style="width:{100 * share:.1f}%"></span></span>'
        f'<span class="share">{_percent(share)}</span></div>'
    )


def _table(others: Sequence[Answer], label: str) -> str:
    agree = sum(answer.label == label for answer in others)
    rates = coverages(answer.session for answer in others)
    rows = "".join(_row(answer, rates, agrees=answer.label == label) for answer in others)
    head = by_coverage("answer", {rate: f"{rate} % set" for rate in rates})
    return (
        f'<table class="models"><thead><tr><th scope="col">{agree} of {len(others)} others agree</th>'
        f'<th scope="col">{head}</th><th scope="col">probability</th><th scope="col">ms</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _row(answer: Answer, rates: Sequence[str], *, agrees: bool) -> str:
    warning, sets = " ⚠" if answer.familiar is False else "", sets_of(answer)
    listed = {rate: _short(sets[rate]) + warning if rate in sets else "no set" for rate in rates}
    said = by_coverage(answer.label + warning, listed)
    return (
        f'<tr><th scope="row">{breakable(answer.session.name)}</th>'
        f'<td class="{"same" if agrees else "other"}">{said}</td>'
        f"<td>{_percent(answer.ranked[0][1])}</td><td>{answer.milliseconds:.2f}</td></tr>"
    )


def _short(found: Uncertainty) -> str:
    """A set in few words, or `unknown`."""
    if found.label == UNKNOWN:
        return UNKNOWN
    more = len(found.labels) - _MOST_LABELS
    return ", ".join(found.labels[:_MOST_LABELS]) + (f" and {more} more" if more > 0 else "")


def breakable(name: str) -> str:
    """A model's name as HTML that may be broken into lines between its words."""
    return html.escape(name).replace("_", "_<wbr>")


def _percent(value: float, digits: int = 1) -> str:
    return f"{100 * value:.{digits}f}\N{NO-BREAK SPACE}%"
