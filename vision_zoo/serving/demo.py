"""The page: draw a digit or drop an image, and an exported model answers."""

import os
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from vision_zoo.errors import BlankImageError, DeviceError, ModelError
from vision_zoo.preprocess import prepare
from vision_zoo.serving.models import find_models
from vision_zoo.serving.session import Session

if TYPE_CHECKING:
    import gradio

_CANVAS = 280
_BRUSH_RADIUS = 11
_SEEN_SIZE = 224

Answer = tuple[dict[str, float] | None, Image.Image | None, str]
NOTHING: Answer = (None, None, "")

# Gradio's pad waits for a tool to be chosen; a page to draw on should let people draw.
_CHOOSE_BRUSH = """() => {
  const timer = setInterval(() => {
    const brush = document.querySelector('#pad button[aria-label="Brush"]');
    if (brush) { clearInterval(timer); brush.click(); }
  }, 100);
}"""


def run_demo(models_dir: Path | None, *, host: str, port: int, provider: str) -> None:
    """Serve the page until interrupted.

    Raises:
        ModelError: there is no model to show.
        DeviceError: the port is in use, or the provider cannot run.
    """
    sessions = {
        session.name: session
        for session in (Session(path, provider=provider) for path in find_models([], models_dir))
    }
    _check_port(host, port)
    for session in sessions.values():  # the first run is slower: nobody should see its time
        session.predict(np.zeros((1, *session.metadata.input.shape), dtype=np.uint8))
    page = build_demo(sessions)
    _launch(page, host=host, port=port, block=True)


def build_demo(sessions: dict[str, Session]) -> "gradio.Blocks":
    """The page over `sessions`, not yet served.

    Raises:
        ModelError: `sessions` is empty.
    """
    if not sessions:
        raise ModelError("there are no models to show; train one and export it, or pass --models-dir")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio as gr

    digits = [name for name, session in sessions.items() if _takes_drawings(session)]

    def classify_drawing(drawing: dict[str, Any] | None, name: str) -> Answer:
        return answer(sessions[name], drawn_image(drawing))

    def classify_upload(image: Image.Image | None, name: str) -> Answer:
        return answer(sessions[name], image)

    with gr.Blocks(title="vision-zoo", analytics_enabled=False) as page:
        gr.Markdown("# vision-zoo\nSmall image classifiers, running on this machine in ONNX Runtime.")
        if digits:
            with gr.Tab("Draw a digit"), gr.Row():
                with gr.Column():
                    model = gr.Dropdown(digits, value=digits[0], label="Model")
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
                shown = _answer_column(gr)
                gr.on([pad.change, model.change], classify_drawing, [pad, model], shown, api_name="draw")
            page.load(None, js=_CHOOSE_BRUSH)
        with gr.Tab("Drop an image"), gr.Row():
            with gr.Column():
                names = list(sessions)
                model = gr.Dropdown(names, value=names[0], label="Model")
                image = gr.Image(
                    type="pil", image_mode=None, sources=["upload", "clipboard"], label="An image file"
                )
            shown = _answer_column(gr)
            gr.on([image.change, model.change], classify_upload, [image, model], shown, api_name="classify")
    return page


def drawn_image(drawing: dict[str, Any] | None) -> Image.Image | None:
    """What was drawn, light on dark: the opacity of the strokes. None for an untouched pad."""
    if not drawing or not drawing.get("layers"):
        return None
    opacity = np.asarray(drawing["layers"][0])[..., 3].astype(np.uint8)
    return Image.fromarray(opacity) if opacity.any() else None


def answer(session: Session, image: Image.Image | None) -> Answer:
    """Probabilities by label, the model's own input enlarged, and a line on speed; nothing for no image."""
    if image is None:
        return NOTHING
    try:
        pixels = prepare(image, session.metadata.input)
    except BlankImageError:
        return NOTHING
    started = time.perf_counter()
    probabilities = session.predict(pixels[None]).probabilities[0]
    milliseconds = (time.perf_counter() - started) * 1e3
    seen = Image.fromarray(pixels.squeeze()).resize((_SEEN_SIZE, _SEEN_SIZE), Image.Resampling.NEAREST)
    metadata = session.metadata
    line = (
        f"{milliseconds:.2f} ms in {session.provider}; {session.size / 2**20:.1f} MiB; "
        f"{metadata.test_accuracy:.2%} of {metadata.test_images:,} test images of {metadata.dataset}"
    )
    ranked = {label: float(share) for label, share in zip(metadata.labels, probabilities, strict=True)}
    return ranked, seen, line


def _takes_drawings(session: Session) -> bool:
    return session.metadata.input.centring == "center_of_mass"


def _answer_column(gr: Any) -> list[Any]:
    with gr.Column():
        label = gr.Label(label="Answer", num_top_classes=5)
        seen = gr.Image(
            label="What the model sees", height=_SEEN_SIZE, interactive=False, buttons=[], format="png"
        )
        line = gr.Markdown()
    return [label, seen, line]


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise DeviceError(
                f"cannot listen on {host}:{port} ({error.strerror}); choose another --port or --host"
            ) from error


def _launch(page: "gradio.Blocks", *, host: str, port: int, block: bool) -> None:
    import gradio as gr

    # Fonts by name alone: the page must not ask another machine for anything.
    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    page.queue(max_size=64)
    print(f"the page is at http://{host}:{port} (Ctrl-C stops it)", file=sys.stderr)
    page.launch(
        server_name=host,
        server_port=port,
        theme=theme,
        prevent_thread_lock=not block,
        max_file_size="16mb",
        footer_links=[],
        ssr_mode=False,
        quiet=True,
        share=False,
    )
