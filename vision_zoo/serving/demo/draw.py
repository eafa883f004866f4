"""The tab for drawing a digit."""

from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

import gradio as gr

from vision_zoo.serving.demo.collect import FORGOTTEN, labels_of, save_row, saved
from vision_zoo.serving.demo.inputs import drawing_key, drawn_file
from vision_zoo.serving.demo.runner import Runner
from vision_zoo.serving.demo.widgets import (
    answers_area,
    drop_late_heat,
    explain_row,
    explained,
    looked_at,
)
from vision_zoo.serving.session import Session

_SCRIPTS = (files("vision_zoo.serving.web") / "pad.js", files(__package__) / "pad.js")
_NOTHING = "Draw a digit, large."
_PAD = """<div class="stage">
<canvas tabindex="0" role="application" aria-label="Drawing pad" aria-describedby="pad-keys"></canvas></div>
<div class="tools" role="toolbar" aria-label="Tools">
<button type="button" disabled>Undo</button>
<button type="button" disabled>Redo</button>
<button type="button" disabled>Clear</button>
</div>
<p id="pad-keys" class="hint">Draw with a mouse, a pen or a finger; or with the arrow keys, the space bar putting the pen
down and lifting it. Ctrl+Z undoes, Escape clears.</p>"""


def digit_models(sessions: Mapping[str, Session]) -> list[Session]:
    """The models that read drawn digits."""
    return [session for session in sessions.values() if session.metadata.input.centring == "center_of_mass"]


def draw_tab(sessions: Callable[[], Mapping[str, Session]], runner: Runner) -> Any:
    """Lay the tab out; the choice among models is returned."""
    names = [session.name for session in digit_models(sessions())]
    with gr.Row(elem_classes="two"):
        with gr.Column(min_width=0):
            pad = gr.HTML(
                "",
                elem_id="pad",
                html_template=_PAD,
                apply_default_css=False,
                js_on_load="\n".join(file.read_text(encoding="utf-8") for file in _SCRIPTS),
            )
        with gr.Column(min_width=0):
            shown = answers_area("digit", _NOTHING)
            row = save_row(labels_of(digit_models(sessions()))) if runner.collects else None
        button, heat, model = explain_row("digit", names)

    async def look(drawing: Any) -> str:
        return await looked_at(
            runner, digit_models(sessions()), drawn_file(drawing), key=drawing_key(drawing), nothing=_NOTHING
        )

    async def explain(drawing: Any, name: Any) -> Any:
        chosen = [session for session in digit_models(sessions()) if session.name == name]
        return await explained(runner, chosen, drawn_file(drawing), key=drawing_key(drawing, str(name)))

    async def save(drawing: Any, label: Any) -> str:
        return await saved(runner, drawn_file(drawing), label, digit_models(sessions()))

    if row is not None:
        row.button.click(save, [pad, row.label], row.said, api_name="save_drawing", preprocess=False)
        pad.change(None, None, [row.said, row.label], js=FORGOTTEN)
    # The last answer stays, faint, until the next one comes.
    pad.change(None, pad, heat, js="(drawing) => { window.visionZoo.pad(drawing); return null; }")
    pad.change(look, pad, shown, api_name="draw", show_progress="hidden", preprocess=False)
    model.change(
        None, model, heat, js='(chosen) => { window.visionZoo.model("digit", chosen); return null; }'
    )
    of_model = '(drawing, chosen) => { window.visionZoo.model("digit", chosen); return [drawing, chosen]; }'
    shows = button.click(
        explain, [pad, model], heat, api_name="explain_drawing", preprocess=False, js=of_model
    )
    shows.then(**drop_late_heat("digit", heat))
    return model
