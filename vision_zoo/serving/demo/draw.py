"""The tab for drawing a digit."""

from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

import gradio as gr

from vision_zoo.serving.demo.inputs import drawing_key, drawn_file
from vision_zoo.serving.demo.runner import Runner
from vision_zoo.serving.demo.widgets import (
    answers_column,
    clear,
    drop_late_heat,
    explain_row,
    explained,
    looked_at,
)
from vision_zoo.serving.session import Session

_NOTHING = "Draw a digit; all models classify it after each stroke."
_PAD = """<div class="vz-pad">
<canvas width="280" height="280" role="img" aria-label="Drawing pad for mouse, pen or finger"></canvas>
<div class="vz-tools" role="toolbar" aria-label="Tools">
<button type="button" aria-label="Brush" aria-pressed="true">Brush</button>
<button type="button" aria-label="Erase" aria-pressed="false">Erase</button>
<button type="button" aria-label="Undo" disabled>Undo</button>
<button type="button" aria-label="Redo" disabled>Redo</button>
<button type="button" aria-label="Clear canvas">Clear</button>
</div></div>"""


def digit_models(sessions: Mapping[str, Session]) -> list[Session]:
    """The models that read drawn digits."""
    return [session for session in sessions.values() if session.metadata.input.centring == "center_of_mass"]


def draw_tab(sessions: Callable[[], Mapping[str, Session]], runner: Runner) -> Any:
    """Lay the tab out; the choice among models is returned."""
    names = [session.name for session in digit_models(sessions())]
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            pad = gr.HTML(
                "",
                label="Draw one digit, large",
                show_label=True,
                container=True,
                elem_id="pad",
                html_template=_PAD,
                apply_default_css=False,
                js_on_load=files(__package__).joinpath("pad.js").read_text(),
            )
        with gr.Column(scale=2, min_width=300):
            shown, seen = answers_column("digit", _NOTHING)
    button, heat, model = explain_row("digit", names)

    async def look(drawing: Any) -> tuple[Any, ...]:
        return await looked_at(
            runner, digit_models(sessions()), drawn_file(drawing), key=drawing_key(drawing), nothing=_NOTHING
        )

    async def explain(drawing: Any, name: Any) -> Any:
        chosen = [session for session in digit_models(sessions()) if session.name == name]
        return await explained(runner, chosen, drawn_file(drawing), key=drawing_key(drawing))

    pad.change(None, pad, [shown, seen, heat], js=clear("pad"))
    pad.change(look, pad, [shown, seen], api_name="draw", show_progress="hidden", preprocess=False)
    model.change(None, None, heat, js="() => null")
    shows = button.click(explain, [pad, model], heat, api_name="explain_drawing", preprocess=False)
    shows.then(**drop_late_heat("digit", heat))
    return model
