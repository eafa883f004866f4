"""Predictions as HTML: one card per model, readable by a screen reader and in light and dark."""

import html
from collections import Counter
from collections.abc import Sequence

from vision_zoo.serving.demo.answers import Answer

STYLE = """
.vz-cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(205px, 1fr)); gap: .7rem; }
.vz-card { border: 1px solid var(--border-color-primary); border-radius: 10px; padding: .6rem .8rem;
  background: var(--background-fill-primary); color: var(--body-text-color); }
.vz-card h3 { margin: 0; font-size: .8rem; font-weight: 600; overflow-wrap: anywhere; }
.vz-label { font-size: 1.7rem; font-weight: 700; line-height: 1.25; overflow-wrap: anywhere; }
.vz-bar { display: grid; grid-template-columns: minmax(2.2rem, max-content) 1fr 3.4rem; gap: .4rem;
  align-items: center; font-size: .78rem; }
.vz-bar b { font-weight: 500; max-width: 6.5rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.vz-track { background: var(--border-color-primary); border-radius: 4px; height: .55rem; overflow: hidden; }
.vz-fill { display: block; background: #0072b2; height: 100%; }
.dark .vz-fill { background: #56b4e9; }
.vz-bar span:last-child { text-align: right; font-variant-numeric: tabular-nums; }
.vz-facts { margin: .35rem 0 0; font-size: .75rem; opacity: .78; }
.vz-warning { margin: .3rem 0 0; font-size: .75rem; color: #b3400a; }
.dark .vz-warning { color: #ffb380; }
.vz-summary { font-size: 1.05rem; margin: 0 0 .7rem; color: var(--body-text-color); }
.vz-empty { opacity: .8; padding: 1.2rem 0; overflow-wrap: anywhere; }
.vz-pad { display: grid; gap: .6rem; justify-items: center; padding-top: 1.2rem; }
.vz-pad canvas { width: 280px; max-width: 100%; aspect-ratio: 1; background: #fff; border-radius: 8px;
  border: 1px solid var(--border-color-primary); touch-action: none; cursor: crosshair; }
.vz-tools { display: flex; flex-wrap: wrap; gap: .4rem; justify-content: center; }
.vz-tools button { font: inherit; font-size: .85rem; padding: .35rem .7rem; border-radius: 8px; cursor: pointer;
  touch-action: manipulation; user-select: none;
  border: 1px solid var(--border-color-primary); background: var(--button-secondary-background-fill);
  color: var(--body-text-color); }
.vz-tools button[aria-pressed="true"] { border-color: #0072b2; box-shadow: 0 0 0 1px #0072b2; }
.dark .vz-tools button[aria-pressed="true"] { border-color: #56b4e9; box-shadow: 0 0 0 1px #56b4e9; }
.vz-tools button:disabled { opacity: .45; cursor: default; }
.vz-tools button:focus-visible { outline: 2px solid #0072b2; outline-offset: 2px; }
#examples .grid-container { grid-template: none / repeat(3, minmax(0, 1fr)); }
#examples .grid-wrap { min-height: 0; }
"""

_SHOWN_LABELS = 3


def cards(answers: Sequence[Answer], *, nothing: str, key: str | None = None) -> str:
    """A card for every answer below a summary; `nothing` where there are none. `key` names the input."""
    if not answers:
        return message(nothing, key=key)
    shown = "".join(_card(answer) for answer in answers)
    summary = f'<p class="vz-summary" role="status">{_summary(answers)}</p>'
    return _of(key, f'{summary}<div class="vz-cards">{shown}</div>')


def message(text: str, *, key: str | None = None) -> str:
    """One line instead of answers."""
    return _of(key, f'<p class="vz-empty" role="status">{html.escape(text)}</p>')


def _of(key: str | None, content: str) -> str:
    return content if key is None else f'<div data-of="{html.escape(key)}">{content}</div>'


def _summary(answers: Sequence[Answer]) -> str:
    (label, votes), *_ = Counter(answer.label for answer in answers).most_common(1)
    name = html.escape(label)
    if len(answers) == 1:
        return f"The model says <strong>{name}</strong>."
    if votes == len(answers):
        return f"All {votes} models say <strong>{name}</strong>."
    return f"{votes} of {len(answers)} models say <strong>{name}</strong>."


def _card(answer: Answer) -> str:
    metadata = answer.session.metadata
    name = html.escape(answer.session.name)
    label, share = answer.ranked[0]
    bars = "".join(_bar(other, value) for other, value in answer.ranked[:_SHOWN_LABELS])
    facts = (
        f"{answer.milliseconds:.2f} ms · {answer.session.size / 2**20:.2f} MiB · {metadata.test_accuracy:.2%} of "
        f"{metadata.test_images:,} test images"
    )
    warning = '<p class="vz-warning">⚠ Unlike the training data.</p>' if answer.familiar is False else ""
    return (
        f'<article class="vz-card" aria-label="{name}: {html.escape(label)}, {share:.1%}"><h3>{name}</h3>'
        f'<div class="vz-label">{html.escape(label)}</div>{bars}{warning}<p class="vz-facts">{facts}</p></article>'
    )


def _bar(label: str, share: float) -> str:
    name = html.escape(label)
    return (
        f'<div class="vz-bar"><b title="{name}">{name}</b><span class="vz-track" aria-hidden="true">'
        f'<span class="vz-fill" style="width:{100 * share:.1f}%"></span></span><span>{share:.1%}</span></div>'
    )
