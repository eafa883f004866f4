"""The page of an audit: what to do first, then every finding with thumbnails."""

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from vision_zoo.core import atomic
from vision_zoo.core.errors import ImageError
from vision_zoo.core.html import render
from vision_zoo.experiments.audit.document import AuditResult, Entry, Finding
from vision_zoo.images.decode import open_image
from vision_zoo.images.preprocess import InputFormat, prepare

_TEMPLATE = Path(__file__).with_name("page.html")
_SHOWN_ENTRIES = 60
_SHOWN_FILES = 6
_THUMBNAIL = 112
_QUALITY = 80


def write_page(path: Path, result: AuditResult, files: Mapping[str, Path]) -> None:
    """Write the page of `audit.json` to `path`; `files` are the pictures by name.

    Raises:
        StorageError: it cannot be written.
    """
    thumbnails: dict[str, str] = {}

    def thumbnail(name: str) -> str:
        if name not in thumbnails:
            thumbnails[name] = _thumbnail(files[name])
        return thumbnails[name]

    text = render(
        _TEMPLATE,
        result=result,
        summary=summary(result),
        overview=overview(result),
        findings=[_shown(finding) for finding in result.findings],
        thumbnail=thumbnail,
        counts=_counts(result),
    )
    atomic.write_text(path, text)


def summary(result: AuditResult) -> str:
    """The folder in a sentence."""
    classes = len(next(iter(result.counts.values())))
    splits = ", ".join(f"{sum(of_class.values()):,} {split}" for split, of_class in result.counts.items())
    parts = f" ({splits})" if len(result.counts) > 1 else ""
    return f"{result.pictures:,} images{parts} in {classes:,} {'class' if classes == 1 else 'classes'}"


def overview(result: AuditResult) -> list[dict[str, Any]]:
    """A row for each finding, the most harmful first."""
    return [
        {"finding": finding.title, "severity": finding.severity, "to act on": finding.count}
        for finding in result.findings
    ]


def _shown(finding: Finding) -> dict[str, Any]:
    return {
        "finding": finding,
        "entries": [_entry(entry) for entry in finding.entries[:_SHOWN_ENTRIES]],
        "more": max(0, len(finding.entries) - _SHOWN_ENTRIES),
    }


def _entry(entry: Entry) -> dict[str, Any]:
    files = entry.files[:_SHOWN_FILES]
    return {"about": entry.about, "files": files, "more": len(entry.files) - len(files)}


def _counts(result: AuditResult) -> list[dict[str, Any]]:
    labels = next(iter(result.counts.values()))
    return [
        {"class": label, **{split: of_class.get(label, 0) for split, of_class in result.counts.items()}}
        for label in labels
    ]


def _thumbnail(path: Path) -> str:
    """A small WebP as a data URI; empty where the picture cannot be read."""
    try:
        image = open_image(path)
        scale = min(1.0, _THUMBNAIL / max(image.size))
        width, height = (max(1, round(side * scale)) for side in image.size)
        pixels = prepare(image, InputFormat(channels=3, height=height, width=width, crop="none"))
    except ImageError:
        return ""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", quality=_QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
