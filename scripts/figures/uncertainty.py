"""How honest calibrated files are, and which score finds foreign images."""

from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

from scripts.figures.sources import Results, read_as, versions
from vision_zoo.core.model_results import (
    CalibratedModel,
    LatencyRatios,
    UncertaintyResult,
    UnfamiliarModel,
    UnfamiliarResult,
)
from vision_zoo.core.results import ZooResult
from vision_zoo.core.tables import markdown

_READ_WITH = ("onnxruntime-gpu", "onnxruntime", "numpy")


def table(results: Results) -> str:
    """A row for every model, and a table of the scores by kind of foreign data."""
    parts = []
    documents = sorted(
        read_as(results, "uncertainty", UncertaintyResult), key=lambda one: -len(one.models)
    )  # the environment of most models first
    shipped = {entry.model for zoo in read_as(results, "zoo", ZooResult) for entry in zoo.models}
    of_model = {
        model.model: model
        for document in reversed(documents)
        for model in document.models
        if model.model in shipped
    }
    models = [of_model[name] for name in sorted(of_model)]
    if models:
        parts += [markdown([_row(model) for model in models]), _said(models, documents)]
        parts.append(markdown(_scores(models)))
    parts += [_latency(document.latency) for document in documents if document.latency is not None]
    for tried in read_as(results, "unfamiliar", UnfamiliarResult):
        parts.append(markdown(_tried(tried.models)))
    return "\n\n".join(parts) or "Not measured yet."


def _row(model: CalibratedModel) -> dict[str, Any]:
    own = model.scores[model.chosen]
    return {
        "model": f"`{model.model}`",
        "calibrated on": model.calibrated_on,
        "judged on": f"{model.images:,}",
        "temperature": f"{model.temperature:.2f}",
        "calibration error": f"{model.error_before:.2%} → {model.error_after:.2%}",
        **{
            f"coverage of {found.target:.0%}": f"{found.by_threshold:.1%}{'' if found.is_within else ' ²'}, "
            f"sets {found.of_sets:.1%} of {found.mean_labels:.2f}"
            for found in model.coverage
        },
        "false alarms": f"{own.false_alarms:.1%}",
        "foreign": model.foreign,
        "detected": f"{own.detected:.1%}",
    }


def _said(models: Sequence[CalibratedModel], documents: Sequence[UncertaintyResult]) -> str:
    rates = [found for model in models for found in model.coverage]
    outside = sum(not found.is_within for found in rates)
    where: list[str] = []
    told: set[str] = set()
    for document in documents:
        environment = f"{document.environment.description}; {versions(document.environment, _READ_WITH)}"
        new = [model.model for model in document.models if model.model not in told]
        if new:
            models_of_it = ", ".join(f"`{name}`" for name in new)
            where.append(f"{models_of_it} on {environment}" if told else environment)
        told |= set(new)
    return (
        "*Calibration error*: expected calibration error in 15 bins of equal width, before and after. *Coverage*: of the "
        "threshold alone, then of the sets as they are given, never empty, with their mean number of labels. ² Outside "
        "the 95 % band of calibrations and test splits of this size (beta-binomial), as "
        f"{outside} of {len(rates)} are; about {0.05 * len(rates):.0f} are by chance, and models of one dataset share "
        f"their images. *Detected*: of 2,000 foreign test images. Measured on {'; '.join(where)}."
    )


def _latency(measured: LatencyRatios) -> str:
    """The ratios in a sentence."""
    ratios = [model.ratio for model in measured.models]
    slowest = max(measured.models, key=lambda model: model.ratio)
    rounds, calls = (min(getattr(model, name) for model in measured.models) for name in ("rounds", "calls"))
    return (
        f"A temperature in the graph multiplies the latency of one image by {min(ratios):.3f} to {max(ratios):.3f} "
        f"(`{slowest.model}`), median {median(ratios):.3f}, over {len(ratios)} models: one thread, single calls in turns "
        f"with the file without it, in {rounds} rounds with new sessions and {calls:,} calls or more of each. Measured "
        f"on {measured.environment.description}; {versions(measured.environment, _READ_WITH)}."
    )


def _scores(models: Sequence[CalibratedModel]) -> list[dict[str, Any]]:
    pairs = list(dict.fromkeys((_kind(model), _kind_of(model.foreign)) for model in models))
    rows = []
    for name in dict.fromkeys(name for model in models for name in model.scores):
        row: dict[str, Any] = {"score": name}
        for own, foreign in pairs:
            found = [model.scores[name].detected for model in models if _kind(model) == own]
            row[f"{foreign} to models of {own}"] = f"{fmean(found):.1%} ({min(found):.1%})"
        rows.append(row)
    return rows


def _tried(models: Sequence[UnfamiliarModel]) -> list[dict[str, Any]]:
    names = dict.fromkeys(name for model in models for name in model.scores)
    return [
        {
            "score": name,
            **{
                f"`{model.model}`": f"{model.scores[name].detected:.1%} ({model.scores[name].false_alarms:.1%})"
                for model in models
            },
        }
        for name in names
    ]


def _kind(model: CalibratedModel) -> str:
    return _kind_of(model.dataset)


def _kind_of(dataset: str) -> str:
    return {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST"}.get(
        dataset, "CIFAR-10" if dataset.startswith("cifar10") else "Imagenette"
    )
