"""The tab that compares all models."""

import html
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import gradio as gr

from vision_zoo.core.errors import VisionZooError
from vision_zoo.serving.demo import compare
from vision_zoo.serving.demo.compare import compared
from vision_zoo.serving.demo.runner import Runner
from vision_zoo.serving.demo.widgets import complaint, sentence
from vision_zoo.serving.session import Session

_HOW_MEASURED = "Measured here, now: one image at a time, one thread."


def compare_tab(
    sessions: Callable[[], Mapping[str, Session]], runner: Runner
) -> tuple[list[Any], Callable[[Any], list[Any]]]:
    """Lay the tab out; what depends on the models is returned, with a function that says what it is now for a dataset."""
    rows, how = compare.shipped(list(sessions().values()))
    first = _most_common(rows)
    dataset = gr.Radio(_datasets(rows), value=first, label="Models trained on")
    kept = gr.State(rows)
    shown = gr.HTML(compared(rows, first), elem_id="compared", apply_default_css=False)
    status = gr.HTML(_hint(how), elem_id="measured", apply_default_css=False)
    button = gr.Button("Measure on this machine", elem_id="measure")

    def served(rows: list[compare.Row]) -> list[compare.Row]:
        return [row for row in rows if row["model"] in sessions()]

    def fresh(name: Any) -> list[Any]:
        found, how_now = compare.shipped(list(sessions().values()))
        return [found, compared(found, name), _hint(how_now)]

    async def measure(name: Any, progress: Any = gr.Progress()) -> tuple[Any, ...]:  # noqa: B008  (how Gradio passes it)
        present = list(sessions().values())
        found: list[compare.Row] = []
        for done, session in enumerate(present):
            progress((done, len(present)), desc=session.name)
            try:
                row = await runner.run(partial(compare.measure, session))
            except VisionZooError as error:
                raise complaint(sentence(error)) from error
            found += [] if row is None else [row]
        return found, compared(found, name), _hint(_HOW_MEASURED)

    def choose(rows: list[compare.Row], name: Any) -> str:
        return compared(served(rows), name)

    button.click(
        measure,
        dataset,
        [kept, shown, status],
        api_name="measure",
        concurrency_limit=1,
        preprocess=False,
    )
    dataset.change(choose, [kept, dataset], shown, api_visibility="private", preprocess=False)
    return [dataset, kept, shown, status], fresh


def _datasets(rows: list[compare.Row]) -> list[str]:
    return sorted({row["dataset"] for row in rows})


def _most_common(rows: list[compare.Row]) -> str | None:
    return next((name for name, _ in Counter(row["dataset"] for row in rows).most_common(1)), None)


def _hint(text: str) -> str:
    return f'<p class="hint">{html.escape(text)}</p>'
