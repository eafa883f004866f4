"""Parts that two tabs share, in Gradio."""

import base64
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import gradio as gr
from gradio.data_classes import Base64ImageData
from PIL import Image

from vision_zoo.errors import VisionZooError
from vision_zoo.serving.demo.answers import Answer, answers, enlarged
from vision_zoo.serving.demo.cards import cards, message
from vision_zoo.serving.demo.explain import heat_map, occlusion
from vision_zoo.serving.session import Session

Result = TypeVar("Result")


class Run(Protocol):
    """Do a blocking call when its turn comes, before its deadline.

    It takes about the same time for each of its `units`. Raises VisionZooError where there is no turn in time.
    """

    async def __call__(self, work: Callable[[], Result], *, units: int) -> Result: ...


def shown_image(**options: Any) -> Any:
    """An image that is sent with the answer: it is no file, and names the input that it is of."""

    def as_url(value: tuple[Image.Image, str] | None) -> Base64ImageData | None:
        if value is None:
            return None
        image, key = value
        content = io.BytesIO()
        image.save(content, "PNG")
        encoded = base64.b64encode(content.getvalue()).decode()
        return Base64ImageData(url=f"data:image/png;of={key};base64,{encoded}")

    image = gr.Image(interactive=False, buttons=[], **options)
    # Not in a subclass: Gradio would write a stub beside this file.
    image.postprocess = as_url
    return image


@dataclass(frozen=True)
class Outputs:
    """Where the answers to one kind of input are shown. `name` begins the ids of its parts; page.js knows them.

    `nothing` is said where there is no input.
    """

    name: str
    nothing: str
    answers: Any
    seen: Any
    heat: Any

    def clear(self, changed: str) -> str:
        """A script that takes the answers away at once, for an event whose input has changed.

        Args:
            changed: a function of page.js that takes the event's inputs.
        """
        waiting = json.dumps('<p class="vz-empty" role="status">…</p>')
        return f"(...inputs) => {{ window.visionZoo.{changed}(...inputs); return [{waiting}, null, null]; }}"

    def drop_late_heat(self) -> dict[str, Any]:
        """For an event after the one that shows what mattered: its input may be another by now."""
        script = f"(image) => window.visionZoo.kept({json.dumps(self.name)}, image)"
        return {"fn": None, "inputs": self.heat, "outputs": self.heat, "js": script}


def answers_column(name: str, nothing: str) -> tuple[Any, Any]:
    """The cards, and what the most accurate model sees."""
    shown = gr.HTML(cards([], nothing=nothing), elem_id=f"{name}-answers", min_height=230)
    seen = shown_image(label="What the most accurate model sees", elem_id=f"{name}-seen", height=250)
    return shown, seen


def explain_row(name: str, models: list[str] | None) -> tuple[Any, Any, Any]:
    """A button that shows what mattered, the image that it shows, and with `models` a choice among them."""
    with gr.Accordion("What mattered?", open=False):
        gr.Markdown(
            "Parts of the picture are covered one after the other. Orange: covering it lowers the answer's probability. "
            "Blue: it raises it."
        )
        with gr.Row():
            with gr.Column():
                model = gr.Dropdown(models, value=models[0], label="Model") if models else None
                button = gr.Button("Show what mattered")
            heat = shown_image(label="Heat map", elem_id=f"{name}-heat", height=350)
    return button, heat, model


async def looked_at(
    run: Run,
    sessions: list[Session],
    image: Callable[[], Image.Image | None],
    *,
    units: int,
    key: str,
    nothing: str,
    blank: str,
) -> tuple[str, tuple[Image.Image, str] | None]:
    """What models say of an input, as HTML, and what the best of them sees."""
    empty = True

    def work() -> list[Answer]:
        nonlocal empty
        given = image()
        empty = given is None
        return answers(sessions, given)

    try:
        found = await run(work, units=units)
    except VisionZooError as error:
        return message(sentence(error), key=key), None
    if not found:
        return message(nothing if empty else blank, key=key), None
    return cards(found, nothing=nothing, key=key), (enlarged(found[0].pixels), key)


async def explained(
    run: Run,
    sessions: list[Session],
    image: Callable[[], Image.Image | None],
    *,
    units: int,
    key: str,
) -> tuple[Image.Image, str] | None:
    """What mattered to the first of the models.

    Raises:
        gradio.Error: there is nothing to explain; shown in a corner of the page.
    """

    def work() -> Image.Image | None:
        found = answers(sessions[:1], image())
        return heat_map(found[0], occlusion(found[0])) if found else None

    try:
        shown = await run(work, units=units)
    except VisionZooError as error:
        raise complaint(sentence(error)) from error
    if shown is None:
        raise complaint("There is nothing to explain: the picture is empty.")
    return shown, key


def sentence(error: Exception) -> str:
    """An error's message as people read it on a page."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def complaint(text: str) -> gr.Error:
    """What is shown in a corner of the page, and not written to the log."""
    return gr.Error(text, print_exception=False)
