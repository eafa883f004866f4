"""Write a page with models, from the templates beside this module."""

import base64
import gzip
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_zoo.core import atomic, html
from vision_zoo.core.errors import ModelError, UsageError
from vision_zoo.serving.session import Session
from vision_zoo.serving.uncertainty import coverages
from vision_zoo.serving.web import runtime
from vision_zoo.serving.web.runtime import Runtime

_FOLDER = Path(__file__).parent
_SCRIPTS = (
    "pillow",
    "morphology",
    "sheet",
    "ruling",
    "ink",
    "digits",
    "prepare",
    "familiar",
    "models",
    "pictures",
    "pad",
    "page",
)
"""One script in the end, in this order: they share their names."""


@dataclass(frozen=True)
class WebPage:
    """A written page: `size` is in bytes, `models` are the names of those in it."""

    path: Path
    size: int
    models: tuple[str, ...]


def write_page(file: Path, models: Sequence[Path], *, runtime_folder: Path | None = None) -> WebPage:
    """Write `file`, one HTML page with the exported `models`, each verified against its manifest.

    The page needs nothing else: no server and no network. ONNX Runtime Web comes from `runtime_folder`, or is fetched
    once with npm.

    Raises:
        UsageError: no model, or two of one name.
        ModelError: a file cannot be used.
        WebRuntimeError, MissingExtraError: as `load_runtime`.
        StorageError: `file` cannot be written.
    """
    sessions = [Session(path, provider="cpu") for path in dict.fromkeys(models)]
    names = [session.name for session in sessions]
    if not names or len(set(names)) < len(names):
        raise UsageError(f"a page needs models of different names; got {', '.join(names) or 'none'}")
    blocks = model_blocks(sessions)
    content = page_text(sessions, runtime_blocks(runtime.load_runtime(runtime_folder)) | blocks).encode()
    atomic.write_bytes(file, content)
    return WebPage(file, len(content), tuple(names))


def runtime_blocks(loaded: Runtime) -> dict[str, bytes]:
    """What a page needs of ONNX Runtime Web, by the names that its script uses."""
    return {"runtime-script": loaded.script, "runtime-wasm": loaded.wasm}


def model_blocks(sessions: Sequence[Session]) -> dict[str, bytes]:
    """The files of a page's models, by the names that its script uses; ModelError if one was replaced meanwhile."""
    return {f"model-{number}": _content(session) for number, session in enumerate(sessions)}


def _content(session: Session) -> bytes:
    content = session.path.read_bytes()
    if hashlib.sha256(content).hexdigest() != session.sha256:
        raise ModelError(f"{session.path} was replaced while it was loaded; load it again")
    return content


def page_text(
    sessions: Sequence[Session],
    blocks: Mapping[str, bytes],
    *,
    scripts: Sequence[str] = (),
    links: Mapping[str, str] | None = None,
) -> str:
    """A page with models. Blocks that are not in `blocks` are in files that `block_script` made, the `scripts`.

    `scripts` are their addresses from the page; `links` are addresses of other pages by what to call them.
    """
    from markupsafe import Markup

    from vision_zoo import __version__

    files = (html.LOOK, _FOLDER / "look.css", _FOLDER / "style.css")
    style = "".join(file.read_text(encoding="utf-8") for file in files)
    script = "\n".join((_FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in _SCRIPTS)
    names = ", ".join(session.name for session in sessions)
    return html.render(
        _FOLDER / "page.html",
        title=names if len(sessions) <= 2 else f"{len(sessions)} models",
        version=__version__,
        runtime_version=runtime.VERSION,
        policy=_policy(style, script, beside=bool(scripts)),
        coverages=coverages(sessions),
        draws=any(session.metadata.input.centring == "center_of_mass" for session in sessions),
        models=[_about(session) for session in sessions],
        blocks={name: _packed(block) for name, block in blocks.items()},
        scripts=scripts,
        links=links or {},
        # both are the package's own; they have no "</" in them
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
    )


def block_script(blocks: Mapping[str, bytes]) -> str:
    """A script that holds `blocks` for pages that several share: unlike data, scripts may be loaded from disk."""
    lines = [f'visionZooBlocks["{name}"] = "{_packed(block)}";' for name, block in blocks.items()]
    return "\n".join(["globalThis.visionZooBlocks ??= {};", *lines, ""])


def runtime_licence() -> str:
    """The licence of ONNX Runtime Web, which goes with every copy of it."""
    return html.render(_FOLDER / "licence.txt", runtime_version=runtime.VERSION)


def _about(session: Session) -> dict[str, Any]:
    metadata = session.metadata
    return {
        "name": session.name,
        "labels": metadata.labels,
        "input": metadata.input.to_json(),
        "threshold": metadata.ood_energy_threshold,
        "familiarity": None if session.gaussians is None else session.gaussians.to_json(),
        "sets": {} if metadata.calibration is None else dict(metadata.calibration.set_thresholds),
        "accuracy": metadata.test_accuracy,
        "images": metadata.test_images,
    }


def _packed(content: bytes) -> str:
    """Gzip in base64; the same bytes every time."""
    return base64.b64encode(gzip.compress(content, mtime=0)).decode()


def _policy(style: str, script: str, *, beside: bool) -> str:
    """The page's Content-Security-Policy: its own script and style, those `beside` it, and nothing from anywhere."""
    own_script, own_style = (
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in (script, style)
    )
    files = "'self' file: " if beside else ""
    return (
        f"default-src 'none'; script-src {own_script} {files}blob: 'wasm-unsafe-eval'; style-src {own_style}; "
        "img-src blob: data:; media-src blob:; base-uri 'none'; form-action 'none'"
    )
