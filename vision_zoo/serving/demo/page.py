"""The layout, in Gradio. Nothing is fetched from elsewhere."""

import os
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from PIL import Image

from vision_zoo.errors import ModelError
from vision_zoo.serving.demo import compare
from vision_zoo.serving.demo.answers import Answer, answers, drawn_image, enlarged
from vision_zoo.serving.demo.cards import STYLE, cards
from vision_zoo.serving.demo.examples import examples
from vision_zoo.serving.demo.explain import heat_map, occlusion
from vision_zoo.serving.demo.scatter import scatter
from vision_zoo.serving.session import Session

if TYPE_CHECKING:
    import gradio

Sessions = Callable[[], Mapping[str, Session]]

_CANVAS = 280
_BRUSH_RADIUS = 11
_DRAW_FIRST = "Draw a digit: every model answers at each stroke."
_DROP_FIRST = "Choose or drop a picture."
_HOW_FAMILIAR = (
    "⚠ marks an input whose energy, ln Σ exp(logit), is below that of the lowest 2 % of the model's test images: "
    "the model has seen nothing like it, and its probabilities mean little."
)

# Gradio's pad waits for a tool to be chosen; a page to draw on should let people draw.
_CHOOSE_BRUSH = """() => {
  const timer = setInterval(() => {
    const brush = document.querySelector('#pad button[aria-label="Brush"]');
    if (brush) { clearInterval(timer); brush.click(); }
  }, 100);
}"""


def build_page(sessions: Sessions) -> "gradio.Blocks":
    """The page over the models that `sessions` gives whenever it is asked.

    Raises:
        ModelError: there are none.
    """
    if not sessions():
        raise ModelError("there are no models to show; train one and export it, or pass --models-dir")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio as gr

    with gr.Blocks(title="vision-zoo", analytics_enabled=False, fill_width=False) as page:
        gr.Markdown("# vision-zoo\nSmall image classifiers, running on this machine in ONNX Runtime.")
        if _digit_models(sessions):
            with gr.Tab("Draw a digit", id="draw"):
                _draw_tab(gr, sessions)
            page.load(None, js=_CHOOSE_BRUSH)
        with gr.Tab("Drop an image", id="drop"):
            _drop_tab(gr, sessions)
        with gr.Tab("Compare", id="compare"):
            _compare_tab(gr, sessions)
        gr.Markdown(_HOW_FAMILIAR, elem_classes="vz-note")
    return page


def mount_options() -> dict[str, Any]:
    """How the page looks, for Gradio's `mount_gradio_app`."""
    import gradio as gr

    # Fonts by name alone: the page must not ask another machine for anything.
    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    return {
        "theme": theme,
        "css": f"{STYLE}\n.vz-note {{ font-size: .8rem; }}",
        "footer_links": [],
        "ssr_mode": False,
        "max_file_size": "16mb",
        "show_error": True,
    }


def _digit_models(sessions: Sessions) -> list[Session]:
    return [session for session in sessions().values() if session.metadata.input.centring == "center_of_mass"]


def _draw_tab(gr: Any, sessions: Sessions) -> None:
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            pad = gr.Sketchpad(
                label="Draw one digit, large",
                elem_id="pad",
                type="numpy",
                image_mode="RGBA",
                canvas_size=(_CANVAS, _CANVAS),
                fixed_canvas=True,
                layers=False,
                transforms=(),
                brush=gr.Brush(default_size=_BRUSH_RADIUS, colors=["#000000"], color_mode="fixed"),
            )
        with gr.Column(scale=2, min_width=300):
            shown = gr.HTML(cards([], nothing=_DRAW_FIRST), elem_id="digit-answers")
            seen = _seen(gr)

    def look(drawing: dict[str, Any] | None) -> tuple[str, Image.Image | None]:
        return _shown(answers(_digit_models(sessions), drawn_image(drawing)), nothing=_DRAW_FIRST)

    def explained(drawing: dict[str, Any] | None, model: str) -> Image.Image | None:
        return _explained([sessions()[model]], drawn_image(drawing))

    gr.on([pad.change, pad.clear], look, pad, [shown, seen], api_name="draw", show_progress="hidden")
    _explain_row(
        gr, [session.name for session in _digit_models(sessions)], explained, pad, api_name="explain_drawing"
    )


def _drop_tab(gr: Any, sessions: Sessions) -> None:
    datasets = sorted({session.metadata.dataset for session in sessions().values()})
    preferred = next((name for name in ("cifar10", "fashion-mnist") if name in datasets), datasets[0])
    pictures = examples()
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            chosen = gr.Radio(datasets, value=preferred, label="Models trained on")
            image = gr.Image(
                label="A picture: drop, paste, or take one",
                elem_id="picture",
                type="pil",
                image_mode=None,
                sources=["upload", "clipboard", "webcam"],
                height=300,
            )
            gallery = gr.Gallery(
                [(picture, name) for name, picture in pictures.items()],
                label="Examples to click",
                columns=3,
                rows=2,
                height=230,
                allow_preview=False,
                interactive=False,
                buttons=[],
            )
        with gr.Column(scale=2, min_width=300):
            shown = gr.HTML(cards([], nothing=_DROP_FIRST), elem_id="picture-answers")
            seen = _seen(gr)

    def models_of(dataset: str) -> list[Session]:
        return [session for session in sessions().values() if session.metadata.dataset == dataset]

    def look(picture: Image.Image | None, dataset: str) -> tuple[str, Image.Image | None]:
        return _shown(answers(models_of(dataset), picture), nothing=_DROP_FIRST)

    def explained(picture: Image.Image | None, dataset: str) -> Image.Image | None:
        best = sorted(models_of(dataset), key=lambda session: -session.metadata.test_accuracy)
        return _explained(best[:1], picture)

    def take_example(event: gr.SelectData) -> Image.Image:
        picture: Image.Image = list(pictures.values())[event.index]
        return picture

    gallery.select(take_example, None, image, api_name=False)
    gr.on(
        [image.change, chosen.change],
        look,
        [image, chosen],
        [shown, seen],
        api_name="classify",
        show_progress="hidden",
    )
    _explain_row(gr, [], explained, [image, chosen], api_name="explain_picture")


def _compare_tab(gr: Any, sessions: Sessions) -> None:
    rows, how = compare.shipped(list(sessions().values()))
    datasets = Counter(row["dataset"] for row in rows)
    first = datasets.most_common(1)[0][0]
    gr.Markdown(
        "Higher is more accurate, further left is faster. The line joins the models that no other beats in both."
    )
    dataset = gr.Radio(sorted(datasets), value=first, label="Dataset")
    kept = gr.State(rows)
    plot = gr.HTML(_plot(rows, first), elem_id="scatter")
    table = gr.Dataframe(
        _cells(rows), headers=list(compare.COLUMNS), interactive=False, label="All models", wrap=True
    )
    status = gr.Markdown(how, elem_id="measured")
    button = gr.Button("Measure on this machine", variant="primary")

    def measure(dataset: str, progress: Any = gr.Progress()) -> tuple[Any, ...]:  # noqa: B008  (how Gradio passes it)
        present = list(sessions().values())
        found = []
        for row in compare.measure(present):
            found.append(row)
            progress((len(found), len(present)), desc=row["model"])
        return (
            found,
            _plot(found, dataset),
            _cells(found),
            "Measured here, now: one image at a time, one thread.",
        )

    button.click(measure, dataset, [kept, plot, table, status], api_name="measure", concurrency_limit=1)
    dataset.change(_plot, [kept, dataset], plot, api_name=False)


def _plot(rows: list[dict[str, Any]], dataset: str) -> str:
    return scatter([row for row in rows if row["dataset"] == dataset])


def _cells(rows: list[dict[str, Any]]) -> list[list[Any]]:
    return [["–" if value is None else value for value in row.values()] for row in rows]


def _seen(gr: Any) -> Any:
    return gr.Image(
        label="What the most accurate model sees", height=250, interactive=False, buttons=[], format="png"
    )


def _shown(found: list[Answer], *, nothing: str) -> tuple[str, Image.Image | None]:
    return cards(found, nothing=nothing), enlarged(found[0].pixels) if found else None


def _explain_row(
    gr: Any, models: list[str], explained: Callable[..., Any], inputs: Any, *, api_name: str
) -> None:
    """A button that shows what mattered; with `models`, of the one that is chosen."""
    with gr.Accordion("What mattered?", open=False):
        gr.Markdown(
            "Parts of the picture are covered one after the other. Orange: covering it lowers the answer's probability. "
            "Blue: it raises it."
        )
        with gr.Row():
            with gr.Column():
                model = gr.Dropdown(models, value=models[0], label="Model") if models else None
                button = gr.Button("Show what mattered")
            picture = gr.Image(label="Heat map", interactive=False, height=350, buttons=[], format="png")
    given = [*inputs] if isinstance(inputs, list) else [inputs]
    button.click(explained, given if model is None else [*given, model], picture, api_name=api_name)


def _explained(sessions: list[Session], image: Image.Image | None) -> Image.Image | None:
    found = answers(sessions, image)
    return heat_map(found[0], occlusion(found[0])) if found else None
