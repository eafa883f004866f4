"""A folder for a Hugging Face Space: a small Gradio app, what it needs, and the models."""

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from vision_zoo.artifact import manifest
from vision_zoo.core import atomic
from vision_zoo.core.errors import UsageError
from vision_zoo.experiments.report.model_card import licence_of
from vision_zoo.experiments.site.folder import replacing
from vision_zoo.serving.session import Session

_APP = Path(__file__).with_name("space_app.txt")
_PYTHON = "3.11"  # the Hub's own default may be older than what vision-zoo needs


def write_space(folder: Path, models: Sequence[Path]) -> tuple[str, ...]:
    """Write the Space of `models` to `folder`, whole or not at all; the names of the models.

    Raises:
        UsageError: no model, or two of one name.
        ModelError: a file cannot be used.
        StorageError: `folder` has files that are no part of a Space, or cannot be written.
    """
    from vision_zoo import __version__

    sessions = [Session(path, provider="cpu") for path in models]
    names = tuple(session.name for session in sessions)
    if not names or len(set(names)) < len(names):
        raise UsageError(f"a Space needs models of different names; got {', '.join(names) or 'none'}")
    with replacing(folder, "space") as target:
        for session in sessions:
            manifest.publish(target / "models" / session.path.name, session.path.read_bytes())
        atomic.write_text(target / "app.py", _APP.read_text(encoding="utf-8"))
        atomic.write_text(target / "requirements.txt", f"vision-zoo=={__version__}\n")
        atomic.write_text(target / "README.md", _readme(sessions))
    return names


def _readme(sessions: Sequence[Session]) -> str:
    """The front matter that a Space is configured by, and what it holds."""
    from huggingface_hub import SpaceCardData

    licences = {licence_of(session.metadata) for session in sessions}
    title = sessions[0].name if len(sessions) == 1 else f"{len(sessions)} image classifiers"
    front = SpaceCardData(
        title=title,
        sdk="gradio",
        sdk_version=metadata.version("gradio"),
        python_version=_PYTHON,
        app_file="app.py",
        license=licences.pop() if len(licences) == 1 else None,
        tags=["image-classification", "onnx"],
    )
    rows = [
        f"- `{session.name}`: {len(session.metadata.labels)} classes, {session.metadata.test_accuracy:.2%} of "
        f"{session.metadata.test_images:,} test images"
        for session in sessions
    ]
    return f"---\n{front.to_yaml()}\n---\n\n# {title}\n\n" + "\n".join(rows) + "\n"
