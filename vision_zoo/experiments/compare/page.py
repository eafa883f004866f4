"""The comparison as one page: the recommendation, then the evidence for it."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vision_zoo.benchmark.pictures import Point, accuracy_against_latency, svg
from vision_zoo.core import atomic
from vision_zoo.core.html import render
from vision_zoo.core.statistics import shown_p_value
from vision_zoo.core.tables import counted
from vision_zoo.data.scan import listed
from vision_zoo.experiments.compare.document import ComparedData, ComparedModel, ComparisonResult, Difference

_MANY_CLASSES = 20

_TEMPLATE = Path(__file__).with_name("page.html")


def page(path: Path, document: ComparisonResult) -> None:
    """Write the page of `comparison.json` to `path`.

    Raises:
        StorageError: it cannot be written.
    """
    from markupsafe import Markup

    models = sorted(document.models, key=_by_accuracy)
    recommendation = document.recommendation
    chosen = next((model for model in models if model.model == recommendation.model), None)
    skipped = document.data.skipped_files
    text = render(
        _TEMPLATE,
        data=document.data,
        summary=_summary(document),
        recommendation=recommendation,
        chosen=chosen,
        refitted=None
        if chosen is None or chosen.refitted_images is None
        else refitted(chosen, document.data),
        commands=[]
        if chosen is None
        else [serve_command(Path(chosen.path).parent), predict_command(chosen.path)],
        picture=Markup(_picture(document)),  # noqa: S704 - our own SVG
        accuracies=[_accuracy(model, document) for model in models],
        costs=[_cost(model) for model in models],
        differences=_differences(document.comparisons),
        robustness=[
            {"model": model.model, **_percent(model.robustness)} for model in models if model.robustness
        ],
        classes=_classes(models),
        left_out=[{"architectures": names, "why": why} for why, names in document.reasons().items()],
        skipped=listed(skipped) if skipped else "",
    )
    atomic.write_text(path, text)


def _summary(document: ComparisonResult) -> str:
    data = document.data
    images = ", ".join(
        f"{images:,} {name}"
        for name in ("train", "validation", "test")
        if (images := getattr(data, f"{name}_images")) is not None
    )
    return (
        f"{data.classes} classes, {images} images, which small networks take at {data.image_size} x {data.image_size} "
        f"pixels; {counted(len(document.models), 'file')} measured in {document.seconds / 60:.1f} minutes on "
        f"{document.environment.description}."
    )


def serve_command(folder: Path) -> str:
    """The command that serves the exported models."""
    return f"vision-zoo serve --models-dir {shlex.quote(str(folder))}"


def predict_command(file: str) -> str:
    """The command that classifies images with an exported model."""
    return f"vision-zoo predict {shlex.quote(file)} IMAGE…"


def refitted(model: ComparedModel, data: ComparedData) -> str:
    """What its file was fitted to after it was measured."""
    every = data.train_images + (data.validation_images or 0) + data.test_images
    return (
        f"the file is fitted to {model.refitted_images:,} of the {every:,} images; its accuracy was measured before, "
        f"fitted to the {data.train_images:,} training images alone"
    )


def _picture(document: ComparisonResult) -> str:
    points = [
        Point(document.data.dataset, model.model, model.p50_ms, model.test_accuracy)
        for model in document.models
    ]
    return svg(
        accuracy_against_latency(points, title="Test accuracy and p50 of one image"), seed="comparison"
    )


def _accuracy(model: ComparedModel, document: ComparisonResult) -> dict[str, Any]:
    seeds = list(model.seed_accuracies.values())
    low, high = model.accuracy_interval
    over = model.seed_interval
    return {
        "model": model.model + (" ◆" if model.model in document.pareto_front else ""),
        "test accuracy": f"{model.test_accuracy:.2%}",
        "interval over images": f"{low:.1%} to {high:.1%}",
        "runs": len(seeds),
        "mean of runs": f"{sum(seeds) / len(seeds):.2%}" if seeds else None,
        "interval over seeds": None if over is None else f"{over[0]:.1%} to {over[1]:.1%}",
        "calibration error": f"{model.calibration_error:.3f}",
    }


def _cost(model: ComparedModel) -> dict[str, Any]:
    return {
        "model": model.model,
        "p50 ms": f"{model.p50_ms:.3g}",
        "p99 ms": None if model.p99_ms is None else f"{model.p99_ms:.3g}",
        "images per second": f"{model.images_per_second:,.0f}",
        "provider": model.provider,
        "MiB": f"{model.size_mb:.2f}",
        "memory, MiB": None if model.memory_mib is None else f"{model.memory_mib:.0f}",
        "training, s": f"{model.train_seconds:.0f}",
        "epochs": model.epochs,
        "ended by": "itself" if model.came_to_its_end else "the budget",
    }


def _differences(comparisons: Sequence[Difference]) -> list[dict[str, Any]]:
    """Every other model against the best; empty where there is none."""
    best = comparisons[0].best if comparisons else ""
    return [
        {
            "model": entry.model,
            f"points against {best}": f"{entry.points:+.2f}",
            "only best correct": entry.only_best_right,
            "only this correct": entry.only_model_right,
            "p, corrected": shown_p_value(entry.p_value),
            "verdict": "worse" if entry.worse else "no difference shown",
        }
        for entry in sorted(comparisons, key=lambda entry: -entry.points)
    ]


def _classes(models: Sequence[ComparedModel]) -> list[dict[str, Any]]:
    """Every class where they are few; the worst of each model where they are many."""
    if len(models[0].class_accuracies) <= _MANY_CLASSES:
        return [{"model": model.model, **_percent(model.class_accuracies)} for model in models]
    rows = []
    for model in models:
        known = {label: share for label, share in model.class_accuracies.items() if share is not None}
        worst = sorted(known.items(), key=lambda entry: entry[1])[:5]
        rows.append(
            {
                "model": model.model,
                "worst classes": ", ".join(f"{label} {share:.0%}" for label, share in worst),
            }
        )
    return rows


def _percent(shares: Mapping[str, float | None]) -> dict[str, str | None]:
    return {name: None if share is None else f"{share:.1%}" for name, share in shares.items()}


def _by_accuracy(model: ComparedModel) -> float:
    return -model.test_accuracy
