"""Commands of the serving half: evaluate, bench, predict, demo."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from vision_zoo.cli.options import DataDir, Json, Model, ModelsDir, Provider, print_json
from vision_zoo.errors import UsageError

RUNTIMES = ("onnxruntime", "onnxruntime-gpu")


def evaluate(
    model: Model,
    dataset: Annotated[
        str, typer.Option(help="A name from `vision-zoo list datasets`, or folder:PATH.", show_default=False)
    ],
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
    from vision_zoo.tables import render
    from vision_zoo.training.datasets import find_dataset
    from vision_zoo.training.datasets.own_folder import is_own_folder

    named = None if is_own_folder(dataset) else find_dataset(dataset)
    session = Session(find_model(model, models_dir), provider=provider)
    data = named or find_dataset(dataset, target=session.metadata.input)
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
    if data.drawn_from == session.metadata.dataset:
        print(
            f"warning: {data.name} is a part of {data.drawn_from}'s training images, on which {session.name} was "
            "trained: this accuracy says nothing about new images",
            file=sys.stderr,
        )
    print(
        f"{session.name}: {score.accuracy:.2%} of {score.images:,} test images of {data.name} ({session.provider})"
    )
    print("\nTrue classes in rows, predicted ones in columns:")
    print(render(score.table(data.labels), "table"))


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
    as_json: Json = False,
) -> None:
    """Measure latency and throughput of exported models."""
    from vision_zoo.tables import check_format, render

    table_format = "json" if as_json else table_format
    check_format(table_format)
    from vision_zoo.benchmark import BenchmarkSettings, benchmark, tables_by_model
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
    if table_format != "table":
        print(render(rows, table_format))
        return
    for title, table in tables_by_model(rows).items():
        print(render(table, "table", title=title), end="\n\n")
    from vision_zoo.environment import cpu_model, usable_cores, versions

    engines = [f"{name} {number}" for name, number in versions().items() if name in ("torch", *RUNTIMES)]
    print(
        "Milliseconds a call; – where the calls are too few for a percentile; ratio of the p50 to ONNX Runtime's."
    )
    print(f"{cpu_model()}, {usable_cores()} cores, {', '.join(engines)}")


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
    top: Annotated[
        int | None, typer.Option(help="Only the K most probable labels; 3 without --json.", min=1)
    ] = None,
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
            print(f"{result['image']}: " + ", ".join(f"{label}: {share:.2%}" for label, share in ranked))
    if failures:
        others = f" ({len(failures)} of {len(images)} images cannot be used)" if len(images) > 1 else ""
        raise ImageError("; ".join(str(failure) for failure in failures) + others)


def demo(
    models_dir: ModelsDir = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 7860,
    provider: Provider = "auto",
) -> None:
    """Serve a page to draw digits on and drop images into."""
    from vision_zoo.serving.demo import run_demo

    run_demo(models_dir, host=host, port=port, provider=provider)
