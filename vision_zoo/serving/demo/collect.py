"""Saving an input with its right label, on a page whose server collects pictures."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import gradio as gr

from vision_zoo.core.errors import VisionZooError
from vision_zoo.serving.demo.inputs import Picture
from vision_zoo.serving.demo.runner import Runner
from vision_zoo.serving.demo.verdict import message
from vision_zoo.serving.demo.widgets import sentence
from vision_zoo.serving.session import Session

_HINT = """<p class="hint">Saving writes this picture, as you gave it, into a folder on this server, where those who run
the server see it and train with it. Without the click nothing is kept.</p>"""


FORGOTTEN = "() => ['', null]"
"""Script for another input: what was said and chosen was of the former one."""


class SaveRow(NamedTuple):
    """The choice of a label, the button that saves, and what is said of it."""

    label: Any
    button: Any
    said: Any


def save_row(labels: list[str]) -> SaveRow:
    """Lay out the choice among `labels` and the button."""
    with gr.Accordion("Wrong? Save it with the right label", open=False):
        label = gr.Dropdown(labels, value=None, label="Right label")
        button = gr.Button("Save on the server")
        gr.HTML(_HINT, apply_default_css=False)
        said = gr.HTML("", apply_default_css=False)
    return SaveRow(label, button, said)


def labels_of(sessions: Iterable[Session]) -> list[str]:
    """Every label that one of the models gives, once."""
    return list(dict.fromkeys(label for session in sessions for label in session.metadata.labels))


async def saved(runner: Runner, picture: Picture | None, label: Any, sessions: Iterable[Session]) -> str:
    """Save an input under a label of `sessions`; what is said of it, as HTML."""
    if picture is None:
        return message("There is no picture to save.")
    if not isinstance(label, str):
        return message("Choose the right label first.")
    try:
        new = await runner.save(picture, label, labels_of(sessions))
    except VisionZooError as error:
        return message(sentence(error))
    return message(f"Saved as {label}." if new else f"It was saved as {label} before.")
