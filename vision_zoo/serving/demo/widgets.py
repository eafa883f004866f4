"""Gradio widgets shared by two tabs."""

import json
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.data_classes import Base64ImageData

from vision_zoo.core.errors import SeveralFiguresError, VisionZooError
from vision_zoo.serving.demo.answers import most_accurate_first
from vision_zoo.serving.demo.inputs import Picture
from vision_zoo.serving.demo.runner import Runner
from vision_zoo.serving.demo.verdict import message, png_url, verdict
from vision_zoo.serving.explain import heat_map, occlusion
from vision_zoo.serving.session import Session

_NOT_SERVED = "This model is no longer served; reload the page."


@dataclass(frozen=True)
class Shown:
    """An image as it is sent with an answer: it is no file, and names the input that it is of."""

    url: str


def shown_image(**options: Any) -> Any:
    """Where a `Shown` is shown."""
    image = gr.Image(interactive=False, buttons=[], **options)
    # Not in a subclass: Gradio would write a stub beside this file.
    image.postprocess = lambda value: None if value is None else Base64ImageData(url=value.url)
    return image


def drop_late_heat(name: str, heat: Any) -> dict[str, Any]:
    """Event after the one that shows what mattered in the input `name`: the input may be another by now."""
    script = f"(image) => window.visionZoo.kept({json.dumps(name)}, image)"
    return {"fn": None, "inputs": heat, "outputs": heat, "js": script}


def answers_area(name: str, nothing: str) -> Any:
    """Where the answers to the input `name` are shown."""
    return gr.HTML(message(nothing), elem_id=f"{name}-answers", apply_default_css=False)


def explain_row(name: str, models: list[str] | None) -> tuple[Any, Any, Any]:
    """A button that shows what mattered, the image that it shows, and with `models` a choice among them."""
    with gr.Accordion("What mattered?", open=False):
        gr.HTML(
            '<p class="hint">Parts of the image are covered one at a time. Orange: covering lowers the probability of '
            "the prediction. Blue: covering raises it.</p>",
            apply_default_css=False,
        )
        with gr.Row():
            with gr.Column():
                model = gr.Dropdown(models, value=models[0], label="Model") if models else None
                button = gr.Button("Show what mattered")
            heat = shown_image(label="Heat map", show_label=False, elem_id=f"{name}-heat")
    return button, heat, model


async def looked_at(
    runner: Runner, sessions: list[Session], picture: Picture | None, *, key: str, nothing: str
) -> str:
    """What models say of an input, as HTML."""
    if picture is None:
        return message(nothing, key=key)
    if not sessions:
        return message(_NOT_SERVED, key=key)
    try:
        return await runner.answers(sessions, picture, lambda found: verdict(found, key=key))
    except SeveralFiguresError as error:
        return message(f"Unsure: {error}.", key=key)
    except VisionZooError as error:
        return message(sentence(error), key=key)


async def explained(runner: Runner, sessions: list[Session], picture: Picture | None, *, key: str) -> Shown:
    """Occlusion map of the most accurate model that can use the input; gradio.Error if there is nothing to explain."""
    if not sessions:
        raise complaint(_NOT_SERVED)
    if picture is None:
        raise complaint("The image is empty; there is nothing to explain.")
    try:
        return await runner.first_answer(
            most_accurate_first(sessions),
            picture,
            lambda found: Shown(png_url(heat_map(found.pixels, occlusion(found.session, found.pixels)), key)),
        )
    except VisionZooError as error:
        raise complaint(sentence(error)) from error


def sentence(error: Exception) -> str:
    """An error's message as people read it on a page."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def complaint(text: str) -> gr.Error:
    """What is shown in a corner of the page, and not written to the log."""
    return gr.Error(text, print_exception=False)
