"""`compare`: which architecture to deploy for a dataset."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from vision_zoo.cli.document import print_json
from vision_zoo.cli.options import DataDir, Device, Json, Provider, warn_of_fallback

if TYPE_CHECKING:
    from vision_zoo.core.choices import Precision


def compare(
    dataset: Annotated[
        str, typer.Option(help="A name from `vision-zoo list datasets`, or folder:PATH.", show_default=False)
    ],
    architectures: Annotated[
        str | None, typer.Option(help="A list such as lenet,mobilenet; all without it.", show_default=False)
    ] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each finalist, with the seeds 0, 1, …")] = 3,
    budget: Annotated[str, typer.Option(help="Time for everything: 20m, 90s, 1h.")] = "20m",
    precision: Annotated[
        str, typer.Option(help="Of the exported files: fp32, fp16, int8, or a list.")
    ] = "fp32",
    max_latency_ms: Annotated[float | None, typer.Option(help="Of one image, p50.")] = None,
    max_size_mb: Annotated[float | None, typer.Option(help="Of the exported file, MiB.")] = None,
    min_accuracy: Annotated[
        float | None, typer.Option(help="A fraction of the test images, such as 0.9.")
    ] = None,
    image_size: Annotated[int | None, typer.Option(help="Side in pixels, for folder:PATH.")] = None,
    provider: Provider = "auto",
    device: Device = "auto",
    data_dir: DataDir = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the comparison; runs/compare/<dataset> by default.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train architectures on a dataset within a budget, measure them, and recommend one. Run it again to go on."""
    from vision_zoo.architectures import ARCHITECTURES
    from vision_zoo.experiments.compare.settings import ComparisonSettings, Limits, parse_budget

    names = ARCHITECTURES if architectures is None else architectures.split(",")
    settings = ComparisonSettings(
        dataset=dataset,
        architectures=tuple(name.strip() for name in names),
        seeds=seeds,
        budget_seconds=parse_budget(budget),
        provider=provider,
        precisions=tuple(cast("Precision", name.strip()) for name in precision.split(",")),
        limits=Limits(max_latency_ms=max_latency_ms, max_size_mb=max_size_mb, min_accuracy=min_accuracy),
        image_size=image_size,
        device=device,
    )
    warn_of_fallback(provider)
    from vision_zoo.data import find_dataset

    folder = out or Path("runs") / "compare" / find_dataset(dataset, image_size=image_size).name.replace(
        "/", "_"
    )
    from vision_zoo.core.progress import progress_on_stderr
    from vision_zoo.core.tables import render
    from vision_zoo.experiments.compare import compare as run
    from vision_zoo.experiments.compare.page import serve_command

    with progress_on_stderr() as progress:
        document = run(settings, out=folder, data_dir=data_dir, progress=progress)
    if as_json:
        print_json(document)
        return
    rows = [
        {
            "model": model["model"],
            "test accuracy": f"{model['test_accuracy']:.2%}",
            "p50 ms": f"{model['p50_ms']:.3g}",
            "MiB": f"{model['size_mb']:.2f}",
            "runs": len(model["seed_accuracies"]),
            "front": "◆" if model["model"] in document["pareto_front"] else "",
        }
        for model in sorted(document["models"], key=lambda model: -model["test_accuracy"])
    ]
    print(render(rows, "table", title=f"{dataset}: {len(rows)} models"))
    recommendation = document["recommendation"]
    if recommendation["model"] is None:
        print(f"\nnone is recommended: {recommendation['reason']}")
    else:
        print(f"\ntake {recommendation['model']}: {recommendation['reason']}")
        if recommendation.get("warning"):
            print(f"warning: {recommendation['warning']}")
        print(f"serve it with `{serve_command(folder / 'models')}`")
    print(f"{folder / 'comparison.html'} says why")
