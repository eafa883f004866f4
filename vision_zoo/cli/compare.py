"""`compare`: choose an architecture for a dataset."""

from pathlib import Path
from typing import Annotated, Any

import typer

from vision_zoo.cli.document import print_json
from vision_zoo.cli.options import DataDir, Device, Json, Provider, warn_of_fallback
from vision_zoo.core.errors import UsageError


def compare(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="FOLDER", help="Folder of images: short for --dataset folder:FOLDER.", show_default=False
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="Name from `vision-zoo list datasets`, or folder:PATH.", show_default=False),
    ] = None,
    architectures: Annotated[
        str | None,
        typer.Option(
            help="Architectures, comma-separated. Default: all that are listed, and truncated_efficientnet_lite0.",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each finalist, with seeds 0, 1, …")] = 3,
    budget: Annotated[
        str, typer.Option(help="Total time, such as 20m, 90s or 1h; in minutes without a unit.")
    ] = "20m",
    precision: Annotated[
        str, typer.Option(help="Precisions of the exported files, comma-separated: fp32, fp16, int8.")
    ] = "fp32",
    max_latency_ms: Annotated[
        float | None, typer.Option(help="Largest p50 latency of one image, in milliseconds.")
    ] = None,
    max_size_mb: Annotated[float | None, typer.Option(help="Largest exported file, in MiB.")] = None,
    min_accuracy: Annotated[
        float | None, typer.Option(help="Lowest test accuracy, as a fraction such as 0.9.")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Side of the images in pixels, for folder:PATH.")
    ] = None,
    provider: Provider = "auto",
    device: Device = "auto",
    data_dir: DataDir = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the comparison. Default: runs/compare/<dataset>.")
    ] = None,
    as_json: Json = False,
    **settings: Any,
) -> None:
    """Train architectures on a dataset within a time budget, measure them, and recommend one.

    Run the same command again to continue.
    """
    if (folder is None) == (dataset is None):
        raise UsageError("compare takes either FOLDER or --dataset NAME; see `vision-zoo list datasets`")
    if dataset is None:
        dataset = f"folder:{str(folder).removeprefix('folder:')}"
    warn_of_fallback(provider)
    from vision_zoo import api
    from vision_zoo.core.tables import counted, render

    comparison = api.compare(
        dataset,
        architectures=None if architectures is None else architectures.split(","),
        seeds=seeds,
        budget=budget,
        precision=precision,
        max_latency_ms=max_latency_ms,
        max_size_mb=max_size_mb,
        min_accuracy=min_accuracy,
        image_size=image_size,
        provider=provider,
        device=device,
        data_dir=data_dir,
        out=out,
        **settings,
    )
    document = comparison.document
    if as_json:
        print_json(document)
        return
    from vision_zoo.experiments.compare.page import predict_command, refitted, serve_command

    rows = [
        {
            "model": model.model,
            "test accuracy": f"{model.test_accuracy:.2%}",
            "95% interval": "{:.1%} to {:.1%}".format(*model.accuracy_interval),
            "p50 ms": f"{model.p50_ms:.3g}",
            "MiB": f"{model.size_mb:.2f}",
            "runs": len(model.seed_accuracies),
            "front": "◆" if model.model in document.pareto_front else "",
        }
        for model in sorted(document.models, key=lambda model: -model.test_accuracy)
    ]
    print(render(rows, "table", title=f"{dataset}: {counted(len(rows), 'model')}"))
    recommendation = document.recommendation
    if recommendation.model is None:
        print(f"\nno recommendation: {recommendation.reason}")
    else:
        print(f"\nrecommended: {recommendation.model}: {recommendation.reason}")
        if recommendation.as_good:
            print(f"not significantly different on these images: {', '.join(recommendation.as_good)}")
        for warning in filter(None, (recommendation.warning or "").split("; ")):
            print(f"warning: {warning}")
        chosen = next(model for model in document.models if model.model == recommendation.model)
        if chosen.refitted_images is not None:
            print(f"refitted: {refitted(chosen, document.data)}")
        print(f"to use it: `{predict_command(chosen.path)}`")
        print(f"to serve it: `{serve_command(comparison.path / 'models')}`")
    for why, names in document.reasons().items():
        print(f"left out: {names}: {why}")
    print(f"details: {comparison.page}")
