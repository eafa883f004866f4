"""The layout of the page in Gradio. Nothing is loaded from other sites."""

from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

import gradio as gr

from vision_zoo.core.html import LOOK
from vision_zoo.serving.demo.compare_tab import compare_tab
from vision_zoo.serving.demo.coverage import coverage_choice
from vision_zoo.serving.demo.draw import digit_models, draw_tab
from vision_zoo.serving.demo.drop import datasets_of, drop_tab, preferred_dataset
from vision_zoo.serving.demo.runner import Runner
from vision_zoo.serving.session import Session

Sessions = Callable[[], Mapping[str, Session]]

_PACKAGE = files(__package__)
_STYLES = (LOOK, files("vision_zoo.serving.web") / "look.css", _PACKAGE / "style.css")


def build_page(sessions: Sessions, runner: Runner) -> gr.Blocks:
    """The page over the models of `sessions`, asked at every event; there is one at least."""
    model = None
    with gr.Blocks(title="vision-zoo", analytics_enabled=False, fill_width=False) as page:
        heading = gr.HTML(_heading(sessions()), apply_default_css=False)
        if digit_models(sessions()):
            with gr.Tab("Draw a digit", id="draw"):
                model = draw_tab(sessions, runner)
        with gr.Tab("Drop an image", id="drop"):
            dataset = drop_tab(sessions, runner)
        with gr.Tab("Compare", id="compare"):
            compared, fresh_comparison = compare_tab(sessions, runner)

        choices = [dataset, compared[0], *([] if model is None else [model])]
        outputs = [*choices, *compared[1:], heading]
        known = dict(sessions())

        def fresh(*chosen: Any) -> list[Any]:
            """What is shown of the models, where they are others than when the server began."""
            present = dict(sessions())
            if present == known:
                return [gr.skip()] * len(outputs)
            names = [session.name for session in digit_models(present)]
            offered = [datasets_of(present), datasets_of(present), names][: len(choices)]
            first = [preferred_dataset(present), None, None]
            updates = [
                _choice(now, instead, offer)
                for now, instead, offer in zip(chosen, first, offered, strict=False)
            ]
            return [*updates, *fresh_comparison(updates[1]["value"]), _heading(present)]

        page.load(fresh, choices, outputs, api_visibility="private", show_progress="hidden", preprocess=False)
    return page


def _heading(sessions: Mapping[str, Session]) -> str:
    return f'<div class="tools heading"><h1>vision-zoo</h1>{coverage_choice(sessions.values())}</div>'


def _choice(chosen: Any, instead: Any, offered: list[str]) -> dict[str, Any]:
    """A choice among what there is now; what was chosen stays so where it is still offered."""
    value = chosen if chosen in offered else instead or next(iter(offered), None)
    return dict(gr.update(choices=offered, value=value))


def mount_options() -> dict[str, Any]:
    """How the page looks, for Gradio's `mount_gradio_app`."""
    # Fonts by name alone: the page must not ask another machine for anything.
    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    style = "".join(file.read_text(encoding="utf-8") for file in _STYLES)
    script = (_PACKAGE / "page.js").read_text(encoding="utf-8")
    return {
        "theme": theme,
        "head": f"<style>{style}</style><script>{script}</script>",
        "footer_links": [],
        "ssr_mode": False,
        "run_history": False,
    }
