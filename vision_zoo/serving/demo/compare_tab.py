"""The tab that compares all models."""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import gradio as gr

from vision_zoo.core.errors import VisionZooError
from vision_zoo.serving.demo import compare
from vision_zoo.serving.demo.compare import scatter
from vision_zoo.serving.demo.runner import Runner
from vision_zoo.serving.demo.widgets import complaint, sentence
from vision_zoo.serving.session import Session

_WIDTHS = [320, 148, 115, 85, 85, 70, 125]
"""Of the columns in pixels: every heading on one line, all of them in the page's width."""
_HOW_MEASURED = "Measured here, now: one image at a time, one thread."


def compare_tab(
    sessions: Callable[[], Mapping[str, Session]], runner: Runner
) -> tuple[list[Any], Callable[[Any], list[Any]]]:
    """Lay the tab out; what depends on the models is returned, with a function that says what it is now for a dataset."""
    rows, how = compare.shipped(list(sessions().values()))
    first = _most_common(rows)
    gr.Markdown(
        "Higher is more accurate, further left is faster. The line joins the models that no other beats in both."
    )
    dataset = gr.Radio(_datasets(rows), value=first, label="Dataset")
    kept = gr.State(rows)
    plot = gr.HTML(_plot(rows, first), elem_id="scatter")
    table = gr.Dataframe(
        _cells(rows),
        headers=list(compare.COLUMNS),
        interactive=False,
        label="All models",
        wrap=True,
        datatype="str",
        column_widths=_WIDTHS,
    )
    status = gr.Markdown(how, elem_id="measured")
    button = gr.Button("Measure on this machine", variant="primary")

    def served(rows: list[compare.Row]) -> list[compare.Row]:
        return [row for row in rows if row["model"] in sessions()]

    def fresh(name: Any) -> list[Any]:
        found, how_now = compare.shipped(list(sessions().values()))
        return [found, _plot(found, name), _cells(found), how_now]

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
        return found, _plot(found, name), _cells(found), _HOW_MEASURED

    def choose(rows: list[compare.Row], name: Any) -> str:
        return _plot(served(rows), name)

    button.click(
        measure,
        dataset,
        [kept, plot, table, status],
        api_name="measure",
        concurrency_limit=1,
        preprocess=False,
    )
    dataset.change(choose, [kept, dataset], plot, api_visibility="private", preprocess=False)
    return [dataset, kept, plot, table, status], fresh


def _datasets(rows: list[compare.Row]) -> list[str]:
    return sorted({row["dataset"] for row in rows})


def _most_common(rows: list[compare.Row]) -> str | None:
    return next((name for name, _ in Counter(row["dataset"] for row in rows).most_common(1)), None)


def _plot(rows: list[compare.Row], dataset: Any) -> str:
    return scatter([row for row in rows if row["dataset"] == dataset])


def _cells(rows: list[compare.Row]) -> list[list[Any]]:
    return [["–" if value is None else value for value in row.values()] for row in rows]
