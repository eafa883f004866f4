"""The pages of a site that run no script: the table of models, and one page for each."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vision_zoo.artifact.metadata import Metadata
from vision_zoo.benchmark.pictures import short_name
from vision_zoo.core import html
from vision_zoo.core.environment import Environment
from vision_zoo.core.statistics import pareto_front
from vision_zoo.experiments.report.model_card import limitations, pretrained_terms
from vision_zoo.experiments.site import picture
from vision_zoo.experiments.site.entries import SiteModel, common_environment
from vision_zoo.experiments.site.measurements import Benchmark
from vision_zoo.recipes.options import settings_table

_FOLDER = Path(__file__).parent


def index(entries: Sequence[SiteModel], benchmarks: Sequence[Benchmark], title: str) -> str:
    """The page that a site begins with."""
    environment = common_environment(entries, benchmarks)
    groups = _groups(entries)
    costs = {entry.name: _cost(entry, environment) for entry in entries}
    return _render(
        "index.html",
        title=title,
        count=len(entries),
        environment=environment,
        groups=[_group(group, costs, environment) for group in groups],
        panels=[panel for group in groups if (panel := _panel(group, costs)) is not None],
        unmeasured=sum(entry.p50_ms(environment) is None for entry in entries),
        copies=any(entry.is_of_copy for entry in entries),
        pretrained=any(entry.pretrained for entry in entries),
        picture=picture,
    )


def card(entry: SiteModel, title: str) -> str:
    """The page of one model."""
    metadata = entry.metadata
    image = metadata.input
    latency = next((one for one in entry.measured if one.row.p50_ms is not None), None)
    return _render(
        "card.html",
        title=title,
        entry=entry,
        metadata=metadata,
        accuracy=f"{metadata.test_accuracy:.2%}",
        interval=f"{entry.interval.low:.2%} to {entry.interval.high:.2%}",
        mib=f"{entry.size / 2**20:.2f}",
        latency=_milliseconds(latency.row.p50_ms) if latency else None,
        measured_on=latency.environment.description if latency else None,
        facts={
            "Architecture": metadata.architecture,
            "Multiply-accumulate operations": f"{metadata.macs:,} for one image",
            "Precision": f"computes in {metadata.precision}, large weights in {metadata.weights}",
            "Input": f"image: uint8 [batch, {image.height}, {image.width}, {image.channels}]",
            "Outputs": ", ".join(
                f"{name}: float32 [batch, {width}]" for name, width in metadata.outputs.items()
            ),
            "File": f"{entry.name}.onnx, {entry.size:,} bytes, "
            + ("listed in manifest.json" if entry.verified else "not listed in a manifest"),
            "Calibrated": _calibrated(metadata),
            "Recipe": metadata.recipe,
            "Written by": ", ".join(f"{name} {version}" for name, version in metadata.versions.items()),
        },
        measured=[_measured_row(one.environment, one.row) for one in entry.measured],
        settings=settings_table(entry.settings or {}),
        pretrained=pretrained_terms(metadata),
        limitations=limitations(metadata, gaussians=entry.gaussians),
        command_name=shlex.quote(f"{entry.name}.onnx"),
    )


def _render(template: str, **values: Any) -> str:
    from vision_zoo import __version__

    return html.render(_FOLDER / template, version=__version__, **values)


def _calibrated(metadata: Metadata) -> str:
    if (calibration := metadata.calibration) is None:
        return ""
    rates = ", ".join(f"{rate} %" for rate in calibration.set_thresholds)
    return (
        f"on {calibration.images:,} images, {calibration.calibrated_on}; sets of labels with coverage {rates}"
    )


def _milliseconds(value: float | None) -> str:
    """Three significant digits; – for what was not measured."""
    if value is None:
        return "–"
    return f"{value:#.3g}".rstrip(".") if value < 1000 else f"{value:,.0f}"


def _groups(entries: Sequence[SiteModel]) -> list[list[SiteModel]]:
    """The entries by dataset, the most accurate first."""
    ordered = sorted(
        entries, key=lambda entry: (entry.metadata.dataset, -entry.metadata.test_accuracy, entry.name)
    )
    return [
        [entry for entry in ordered if entry.metadata.dataset == dataset]
        for dataset in dict.fromkeys(entry.metadata.dataset for entry in ordered)
    ]


def _cost(entry: SiteModel, environment: Environment | None) -> float | None:
    """Milliseconds of one image; where no model was measured, its operations in millions."""
    cost = entry.metadata.macs / 1e6 if environment is None else entry.p50_ms(environment)
    return cost or None


def _group(
    group: Sequence[SiteModel], costs: dict[str, float | None], environment: Environment | None
) -> dict[str, Any]:
    shown = [entry for entry in group if costs[entry.name] is not None]
    front = pareto_front([(costs[entry.name] or 0, entry.metadata.test_accuracy) for entry in shown])
    best = {shown[number].name for number in front} if len(group) > 1 else set()
    return {
        "of": group[0].of,
        "reencoded": group[0].is_of_copy,
        "rows": [_row(entry, environment, on_front=entry.name in best) for entry in group],
    }


def _row(entry: SiteModel, environment: Environment | None, *, on_front: bool) -> dict[str, Any]:
    metadata = entry.metadata
    return {
        "name": entry.name,
        "file_name": entry.file_name,
        "on_front": on_front,
        "pretrained": bool(entry.pretrained),
        "cells": {
            "accuracy": f"{metadata.test_accuracy:.2%}",
            "p50 ms": _milliseconds(entry.p50_ms(environment)),
            "MiB": f"{entry.size / 2**20:.2f}",
            "parameters": f"{metadata.parameters:,}",
            "test images": f"{metadata.test_images:,}",
            "licence": entry.licence or "the images' owner's",
        },
    }


def _panel(group: Sequence[SiteModel], costs: dict[str, float | None]) -> picture.Panel | None:
    """None for fewer than two models: there is nothing to compare."""
    values = [
        picture.Value(
            f"models/{entry.file_name}.html",
            entry.name,
            short_name(entry.name, entry.metadata.dataset),
            cost,
            entry.metadata.test_accuracy,
        )
        for entry in group
        if (cost := costs[entry.name]) is not None
    ]
    return picture.panel(group[0].of, values) if len(values) > 1 else None


def _measured_row(environment: Environment, row: Any) -> dict[str, Any]:
    return {
        "hardware": environment.description,
        "provider": row.provider.removesuffix("ExecutionProvider"),
        "threads": row.threads,
        "p50 ms": row.p50_ms,
        "p99 ms": row.p99_ms,
        "images per second": round(row.images_per_second),
        "memory, MiB": row.memory_mib,
    }
