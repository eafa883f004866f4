"""The comparison as one page: what to take and how to serve it, then everything that this rests on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vision_zoo.benchmark.pictures import accuracy_against_latency, svg
from vision_zoo.core import atomic
from vision_zoo.core.environment import hardware
from vision_zoo.core.html import escaped, table, webpage
from vision_zoo.core.statistics import shown_p_value
from vision_zoo.data.scan import listed

_MANY_CLASSES = 20

_CARD_STYLE = """<style>
.card { border: 2px solid #0072B2; border-radius: 10px; padding: 1rem 1.3rem; margin: 1.2rem 0 }
.card h2 { margin: 0 0 .4rem } .card pre { overflow-x: auto; background: #8881; padding: .6rem; border-radius: 6px }
.warning { border-left: 4px solid #D55E00; padding: .2rem .8rem; font-weight: 600 }
.figures { display: flex; flex-wrap: wrap; gap: 1.6rem; margin: .8rem 0 }
.figures b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums }
</style>"""


def page(path: Path, document: Mapping[str, Any]) -> None:
    """Write the page of `comparison.json` to `path`.

    Raises:
        StorageError: it cannot be written.
    """
    atomic.write_text(path, webpage(f"Which model for {document['data']['dataset']}", _parts(document)))


_EXPLANATION = """<p>◆: nothing here is both quicker and more accurate. <i>Over images</i>: Wilson's 95 % interval, what
other test pictures could give. <i>Over seeds</i>: Student's 95 % interval of the mean of the runs, what training again
could give. <i>Calibration error</i>: how far the stated probabilities are from being right so often. The recommendation
looks at the test images: of many models, the chosen one's accuracy there is a little flattering.</p>"""
_COST = """<p>Milliseconds are of one image in ONNX Runtime, from its pixels to its probabilities; <i>–</i>: too few calls
for that percentile. <i>Memory</i>: what the process needs more with the model in it. <i>Ended by the budget</i>: more
time might have helped; validation images, never test images, decided who got it.</p>"""
_NO_DIFFERENCE = """<p>McNemar's exact test on the same test images, corrected after Holm for the number of models.
<i>No difference shown</i> is not the same as equal: more test images might show one.</p>"""


def _parts(document: Mapping[str, Any]) -> list[str]:
    data, models = document["data"], sorted(document["models"], key=_by_accuracy)
    images = ", ".join(
        f"{data[f'{name}_images']:,} {name}"
        for name in ("train", "validation", "test")
        if f"{name}_images" in data
    )
    parts = [
        _CARD_STYLE,
        f"<h1>Which model for {escaped(data['dataset'])}?</h1>",
        f"<p>{escaped(_summary(document, images))}</p>",
        _card(document),
        "<h2>Accuracy against latency</h2>",
        f"<figure>{_picture(document)}</figure>",
        "<h2>The models</h2>",
        table([_accuracy(model, document) for model in models]),
        _EXPLANATION,
        "<h2>What they cost</h2>",
        table([_cost(model) for model in models]),
        _COST,
        "<h2>Are they different?</h2>",
        _differences(document["comparisons"]),
        "<h2>Worse pictures</h2>",
        "<p>Accuracy on changed test images; strengths are fractions of the side and of the pixels' range.</p>",
        table([{"model": model["model"], **_percent(model["robustness"])} for model in models]),
        "<h2>Class by class</h2>",
        *_classes(models),
    ]
    return parts + _left_out(document)


def _summary(document: Mapping[str, Any], images: str) -> str:
    data = document["data"]
    return (
        f"{data['classes']} classes, {images} images of {data['image_size']} x {data['image_size']} pixels; "
        f"{len(document['models'])} files measured in {document['seconds'] / 60:.1f} minutes on "
        f"{hardware(document['environment'])}."
    )


def _card(document: Mapping[str, Any]) -> str:
    recommendation = document["recommendation"]
    name = recommendation["model"]
    if name is None:
        return f'<section class="card"><h2>None of them</h2><p>{escaped(recommendation["reason"])}.</p></section>'
    chosen = next(model for model in document["models"] if model["model"] == name)
    low, high = chosen["accuracy_interval"]
    as_good = recommendation["as_good"]
    others = f" As good by these test images: {escaped(', '.join(as_good))}." if as_good else ""
    warning = recommendation.get("warning")
    caution = f'<p class="warning">{escaped(warning)}.</p>' if warning else ""
    folder = Path(chosen["path"]).parent
    return (
        f'<section class="card"><h2>Take {escaped(name)}</h2>'
        f"<p>It is {escaped(recommendation['reason'])}.{others}</p>{caution}"
        '<div class="figures">'
        f"<span><b>{chosen['test_accuracy']:.1%}</b>of {chosen['test_images']:,} test images right "
        f"({low:.1%} to {high:.1%})</span>"
        f"<span><b>{chosen['p50_ms']:.3g} ms</b>for one image</span>"
        f"<span><b>{chosen['size_mb']:.2f} MiB</b>in one file</span></div>"
        f"<p>Serve it, or try it:</p><pre>{escaped(serve_command(folder))}\n"
        f"vision-zoo predict {escaped(str(chosen['path']))} IMAGE</pre></section>"
    )


def serve_command(folder: Path) -> str:
    """What serves the exported models."""
    return f"vision-zoo serve --models-dir {folder}"


def _picture(document: Mapping[str, Any]) -> str:
    rows = [
        {**model, "dataset": document["data"]["dataset"], "engine": "onnxruntime"}
        for model in document["models"]
    ]
    return svg(accuracy_against_latency(rows, title="Test accuracy and p50 of one image"), seed="comparison")


def _accuracy(model: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    seeds = list(model["seed_accuracies"].values())
    low, high = model["accuracy_interval"]
    over = model["seed_interval"]
    return {
        "model": model["model"] + (" ◆" if model["model"] in document["pareto_front"] else ""),
        "test accuracy": f"{model['test_accuracy']:.2%}",
        "over images": f"{low:.1%} to {high:.1%}",
        "runs": len(seeds),
        "mean of the runs": f"{sum(seeds) / len(seeds):.2%}" if seeds else None,
        "over seeds": None if over is None else f"{over[0]:.1%} to {over[1]:.1%}",
        "calibration error": f"{model['calibration_error']:.3f}",
    }


def _cost(model: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "model": model["model"],
        "p50 ms": f"{model['p50_ms']:.3g}",
        "p99 ms": None if model["p99_ms"] is None else f"{model['p99_ms']:.3g}",
        "images a second": f"{model['images_per_second']:,.0f}",
        "provider": model["provider"],
        "MiB": f"{model['size_mb']:.2f}",
        "memory, MiB": None if model["memory_mib"] is None else f"{model['memory_mib']:.0f}",
        "trained, s": f"{model['train_seconds']:.0f}",
        "epochs": model["epochs"],
        "ended by": "itself" if model["came_to_its_end"] else "the budget",
    }


def _differences(comparisons: Sequence[Mapping[str, Any]]) -> str:
    if not comparisons:
        return "<p>There is only one.</p>"
    best = comparisons[0]["best"]
    rows = [
        {
            "model": entry["model"],
            f"points against {best}": f"{entry['points']:+.2f}",
            "only the best right": entry["only_best_right"],
            "only this right": entry["only_model_right"],
            "p, corrected": shown_p_value(entry["p_value"]),
            "verdict": "worse" if entry["worse"] else "no difference shown",
        }
        for entry in sorted(comparisons, key=lambda entry: -float(entry["points"]))
    ]
    return table(rows) + _NO_DIFFERENCE


def _classes(models: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every class where they are few; the worst of each model where they are many."""
    if len(models[0]["class_accuracies"]) <= _MANY_CLASSES:
        return [table([{"model": model["model"], **_percent(model["class_accuracies"])} for model in models])]
    rows = []
    for model in models:
        known = {label: share for label, share in model["class_accuracies"].items() if share is not None}
        worst = sorted(known.items(), key=lambda entry: entry[1])[:5]
        rows.append(
            {
                "model": model["model"],
                "worst classes": ", ".join(f"{label} {share:.0%}" for label, share in worst),
            }
        )
    return [table(rows)]


def _percent(shares: Mapping[str, float | None]) -> dict[str, str | None]:
    return {name: None if share is None else f"{share:.1%}" for name, share in shares.items()}


def _left_out(document: Mapping[str, Any]) -> list[str]:
    reasons = {**document["left_out"], **document["not_exported"]}
    skipped = document["data"]["skipped_files"]
    parts = []
    if reasons:
        rows = [{"architecture": name, "why": reason} for name, reason in reasons.items()]
        parts += ["<h2>Left out</h2>", table(rows)]
    if skipped:
        parts += [
            "<h2>Files that are no images</h2>",
            f"<p>{len(skipped)} could not be read and were left out: {escaped(listed(skipped))}</p>",
        ]
    return parts


def _by_accuracy(model: Mapping[str, Any]) -> float:
    return -float(model["test_accuracy"])
