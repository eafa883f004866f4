"""The tab for image files."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from vision_zoo.serving.demo.collect import FORGOTTEN, labels_of, save_row, saved
from vision_zoo.serving.demo.inputs import EXAMPLES, Example, chosen_file, picture_key
from vision_zoo.serving.demo.runner import Runner
from vision_zoo.serving.demo.verdict import message
from vision_zoo.serving.demo.widgets import (
    answers_area,
    drop_late_heat,
    explain_row,
    explained,
    looked_at,
)
from vision_zoo.serving.session import Session

_NOTHING = "Choose or drop an image."
_PREFERRED = ("cifar10", "fashion-mnist")


def datasets_of(sessions: Mapping[str, Session]) -> list[str]:
    """What the models were trained on, in alphabetical order."""
    return sorted({session.metadata.dataset for session in sessions.values()})


def preferred_dataset(sessions: Mapping[str, Session]) -> str | None:
    """The dataset that is chosen to begin with."""
    names = datasets_of(sessions)
    return next((name for name in (*_PREFERRED, *names) if name in names), None)


def drop_tab(sessions: Callable[[], Mapping[str, Session]], runner: Runner) -> Any:
    """Lay the tab out; the choice among datasets is returned."""
    preferred = preferred_dataset(sessions())
    # Those that fit the chosen dataset come first.
    shown_examples = sorted(
        (example for example in EXAMPLES if example.dataset in datasets_of(sessions())),
        key=lambda example: example.dataset != preferred,
    )
    with gr.Row(elem_classes="two"):
        with gr.Column(min_width=0):
            picture = gr.Image(
                label="Image: drop, paste, or take a photo",
                show_label=False,
                elem_id="picture",
                type="filepath",
                image_mode=None,
                sources=["upload", "clipboard", "webcam"],
                buttons=[],
            )
            dataset = gr.Radio(datasets_of(sessions()), value=preferred, label="Models trained on")
            gallery = _gallery(shown_examples)
        with gr.Column(min_width=0):
            shown = answers_area("picture", _NOTHING)
            row = save_row(labels_of(_trained_on(sessions(), preferred))) if runner.collects else None
        button, heat, _ = explain_row("picture", None)
    paths = [item["image"]["path"] for item in gallery.value or []] if gallery is not None else []

    def models_of(name: Any) -> list[Session]:
        return _trained_on(sessions(), name)

    async def look(file: Any, name: Any) -> str:
        return await looked_at(
            runner, models_of(name), chosen_file(file), key=picture_key(file, name), nothing=_NOTHING
        )

    async def explain(file: Any, name: Any) -> Any:
        return await explained(runner, models_of(name), chosen_file(file), key=picture_key(file, name))

    async def save(file: Any, name: Any, label: Any) -> str:
        return await saved(runner, chosen_file(file), label, models_of(name))

    def offer(name: Any) -> Any:
        return gr.update(choices=labels_of(models_of(name)), value=None)

    def take_example(event: gr.SelectData) -> tuple[Any, Any]:
        if not isinstance(event.index, int) or not 0 <= event.index < len(shown_examples):
            return gr.skip(), gr.skip()
        return paths[event.index], shown_examples[event.index].dataset

    both = [picture, dataset]
    changes = [picture.change, dataset.change]
    waiting = f"(...inputs) => {{ window.visionZoo.picture(...inputs); return [{json.dumps(message('…'))}, null]; }}"
    gr.on(changes, None, both, [shown, heat], js=waiting)
    gr.on(changes, look, both, shown, api_name="classify", show_progress="hidden", preprocess=False)
    shows = button.click(explain, both, heat, api_name="explain_picture", preprocess=False)
    shows.then(**drop_late_heat("picture", heat))
    if row is not None:
        row.button.click(save, [*both, row.label], row.said, api_name="save_picture", preprocess=False)
        gr.on(changes, None, None, [row.said, row.label], js=FORGOTTEN)
        dataset.change(offer, dataset, row.label, api_visibility="private", preprocess=False)
    if gallery is not None:
        gallery.select(take_example, None, both, api_visibility="private")
    return dataset


def _trained_on(sessions: Mapping[str, Session], dataset: Any) -> list[Session]:
    return [session for session in sessions.values() if session.metadata.dataset == dataset]


def _gallery(shown: list[Example]) -> Any:
    if not shown:
        return None
    return gr.Gallery(
        [(example.picture(), example.name) for example in shown],
        label="Examples to click",
        show_label=False,
        container=False,
        elem_id="examples",
        columns=len(shown),
        rows=1,
        height="auto",
        allow_preview=False,
        interactive=False,
        buttons=[],
        format="png",
    )
