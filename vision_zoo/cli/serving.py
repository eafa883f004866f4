"""Commands of the serving half: evaluate, bench, predict, demo."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from vision_zoo.cli.options import DataDir, Json, Model, ModelsDir, Provider, print_json
from vision_zoo.errors import UsageError


def evaluate(
    model: Model,
    dataset: Annotated[str, typer.Option(help="A name from `vision-zoo list datasets`.", show_default=False)],
    data_dir: DataDir = None,
    models_dir: ModelsDir = None,
    provider: Provider = "auto",
    as_json: Json = False,
) -> None:
    """Score an exported model on a dataset's test split."""
    from vision_zoo.progress import progress_on_stderr
    from vision_zoo.serving.evaluate import evaluate as score_session
    from vision_zoo.serving.models import find_model
    from vision_zoo.serving.session import Session
    from vision_zoo.training.datasets import find_dataset

    data = find_dataset(dataset)
    session = Session(find_model(model, models_dir), provider=provider)
    test = data.load(data_dir).test
    with progress_on_stderr() as progress:
        score = score_session(session, test.images, test.labels, data.labels, progress)
    if as_json:
        print_json(
            {
                "model": str(session.path),
                "dataset": data.name,
                "accuracy": score.accuracy,
                "images": score.images,
                "confusion_matrix": score.confusion_matrix.tolist(),
                "labels": list(data.labels),
                "provider": session.provider,
            }
        )
        return
    print(
        f"{session.name}: {score.accuracy:.2%} of {score.images:,} test images of {data.name} ({session.provider})"
    )


def bench(
    models: Annotated[list[str] | None, typer.Argument(help="Paths or names; all models by default.")] = None,
    provider: Provider = "auto",
    batch_sizes: Annotated[str, typer.Option(help="Comma-separated.")] = "1,8,64",
    against: Annotated[
        str | None, typer.Option(help="torch: eager torch, in turns with ONNX Runtime.")
    ] = None,
    threads: Annotated[int, typer.Option(help="Of each engine.")] = 1,
    duration: Annotated[float, typer.Option(help="Seconds for every engine and batch size.")] = 2.0,
    table_format: Annotated[str, typer.Option("--format", help="table, json, csv or md.")] = "table",
    models_dir: ModelsDir = None,
) -> None:
    """Measure latency and throughput of exported models."""
    from vision_zoo.tables import check_format, render

    check_format(table_format)
    from vision_zoo.benchmark import BenchmarkSettings, benchmark
    from vision_zoo.progress import progress_on_stderr
    from vision_zoo.serving.models import find_models

    settings = BenchmarkSettings(
        provider=provider,
        batch_sizes=_numbers(batch_sizes),
        against=tuple(against.split(",")) if against else (),
        threads=threads,
        seconds=duration,
    )
    with progress_on_stderr() as progress:
        rows = benchmark(find_models(models or [], models_dir), settings, progress)
    if table_format == "json":
        from vision_zoo.environment import describe

        print_json({"environment": describe(), "rows": rows})
        return
    print(render(rows, table_format))
    if table_format == "table":
        from vision_zoo.environment import cpu_model, usable_cores, versions

        engine = next(
            f"{name} {number}" for name, number in versions().items() if name.startswith("onnxruntime")
        )
        print(f"milliseconds a call; {cpu_model()}, {usable_cores()} cores, {engine}")


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError as error:
        raise UsageError(
            f"--batch-sizes {text!r} is no list of whole numbers; expected for instance 1,8,64"
        ) from error


def predict(
    model: Model,
    images: Annotated[list[Path], typer.Argument(help="Image files.", show_default=False)],
    top: Annotated[int | None, typer.Option(help="Only the K most probable labels.", min=1)] = None,
    models_dir: ModelsDir = None,
    provider: Provider = "auto",
    as_json: Json = False,
) -> None:
    """Classify image files."""
    from vision_zoo.errors import ImageError
    from vision_zoo.serving.models import find_model
    from vision_zoo.serving.predict import classify_file
    from vision_zoo.serving.session import Session

    session = Session(find_model(model, models_dir), provider=provider)
    results, failures = [], []
    for image in images:
        try:
            results.append(classify_file(session, image, top=top))
        except ImageError as error:
            failures.append(error)
    if as_json:
        print_json(results)
    else:
        for result in results:
            ranked = list(result["probabilities"].items())[: top or 3]
            print(f"{result['image']}: " + ", ".join(f"{label} {share:.1%}" for label, share in ranked))
    for failure in failures[:-1]:
        print(f"error: {failure}", file=sys.stderr)
    if failures:
        raise failures[-1]


def demo(
    models_dir: ModelsDir = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 7860,
    provider: Provider = "auto",
) -> None:
    """Open a page to draw digits on and drop images into."""
    from vision_zoo.serving.demo import run_demo

    run_demo(models_dir, host=host, port=port, provider=provider)
