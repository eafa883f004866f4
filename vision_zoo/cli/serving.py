"""Commands of the serving half: evaluate, bench, predict, demo."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from vision_zoo.cli.options import DataDir, Json, Model, ModelsDir, Provider, json_text, print_json
from vision_zoo.errors import DeviceError, UsageError

_MARKS = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}
_SHOWN = ("torch", "onnxruntime", "onnxruntime-gpu")


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
    _warn_of_fallback(provider)
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
    provider: Annotated[str, typer.Option(help="auto, cpu, cuda or tensorrt; several by commas.")] = "auto",
    batch_sizes: Annotated[str, typer.Option(help="Comma-separated.")] = "1,8,64",
    precision: Annotated[
        str | None, typer.Option(help="fp32, fp16 or int8; several by commas; all without it.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(help="torch, torch-compile, io-binding, cuda-graph: in turns with ONNX Runtime."),
    ] = None,
    scenario: Annotated[
        str, typer.Option(help="single-stream, offline or server; several by commas.")
    ] = "single-stream",
    rate: Annotated[
        float | None,
        typer.Option(help="Calls a second in the scenario server; half of what one caller reaches."),
    ] = None,
    threads: Annotated[int, typer.Option(help="Of each engine.")] = 1,
    duration: Annotated[float, typer.Option(help="Seconds for every engine and batch size.")] = 2.0,
    table_format: Annotated[str, typer.Option("--format", help="table, json, csv, md or html.")] = "table",
    output: Annotated[Path | None, typer.Option(help="File to write instead of printing.")] = None,
    models_dir: ModelsDir = None,
    as_json: Json = False,
) -> None:
    """Measure latency and throughput of exported models."""
    from vision_zoo.tables import check_format

    table_format = "json" if as_json else table_format
    check_format(table_format, "html")
    from vision_zoo.benchmark import BenchmarkSettings, benchmark
    from vision_zoo.environment import describe
    from vision_zoo.progress import progress_on_stderr
    from vision_zoo.serving.models import find_models, with_precisions

    settings = BenchmarkSettings(
        providers=_names(provider),
        batch_sizes=_numbers(batch_sizes),
        precisions=_names(precision),
        against=_names(against),
        scenarios=_names(scenario),
        threads=threads,
        seconds=duration,
        rate=rate,
    )
    _warn_of_fallback(*settings.providers)
    paths = with_precisions(find_models(models or [], models_dir), settings.precisions)
    with progress_on_stderr() as progress:
        rows = benchmark(paths, settings, progress, raw=table_format == "html")
    text = _benchmark_text(rows, describe(), table_format)
    if output is None:
        print(text)
        return
    from vision_zoo import atomic

    atomic.write_text(output, text + "\n")
    print(f"{output} is written", file=sys.stderr)


def _benchmark_text(rows: list[dict[str, Any]], environment: dict[str, Any], table_format: str) -> str:
    from vision_zoo.benchmark.tables import flat, footers, tables
    from vision_zoo.environment import hardware
    from vision_zoo.tables import render

    if table_format == "json":
        return json_text({"environment": environment, "rows": rows})
    if table_format == "html":
        from vision_zoo.benchmark.page import page

        return page(rows, environment)
    if table_format != "table":
        return render(flat(rows), table_format)
    parts = [render(table, "table", title=title) + "\n" for title, table in tables(rows).items()]
    engines = [f"{name} {number}" for name, number in environment["versions"].items() if name in _SHOWN]
    return "\n".join([*parts, *footers(rows), f"{hardware(environment)}, {', '.join(engines)}"])


def _warn_of_fallback(*providers: str) -> None:
    if "auto" in providers:
        from vision_zoo.serving.providers import auto_notice

        notice = auto_notice()
        if notice:
            print(f"warning: {notice}; `vision-zoo doctor` says more", file=sys.stderr)


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",")) if text else ()


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

    _warn_of_fallback(provider)
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
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)
    ] = 7860,
    provider: Provider = "auto",
    open_to_all: Annotated[bool, typer.Option("--open-to-all", help="Listen beyond this machine.")] = False,
) -> None:
    """Serve a page to draw digits on and drop images into."""
    from vision_zoo.serving.server.settings import ServerSettings

    settings = ServerSettings(
        models_dir=models_dir, host=host, port=port, provider=provider, demo=True, open_to_all=open_to_all
    )
    _warn_of_fallback(provider)
    from vision_zoo.serving.server.run import serve as run_server

    run_server(settings)


def serve(
    models_dir: ModelsDir = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8000,
    provider: Provider = "auto",
    threads: Annotated[int, typer.Option(help="Of each model, within one operator.", min=1)] = 1,
    page: Annotated[bool, typer.Option("--demo", help="Serve the page to draw on, too, at /demo.")] = False,
    open_to_all: Annotated[
        bool, typer.Option("--open-to-all", help="Listen beyond this machine without an API key.")
    ] = False,
    max_body_mb: Annotated[float, typer.Option(help="Largest request, in MiB.")] = 16.0,
    max_batch: Annotated[int, typer.Option(help="Images of one request.")] = 256,
    max_concurrency: Annotated[
        int | None, typer.Option(help="Requests that run at once; one a core without it.")
    ] = None,
    max_queue: Annotated[int, typer.Option(help="Requests that wait; more are answered 503.")] = 512,
    deadline: Annotated[float, typer.Option(help="Seconds until a request is answered 504.")] = 10.0,
    read_seconds: Annotated[float, typer.Option(help="Seconds a client may take to send a request.")] = 10.0,
    reload: Annotated[float, typer.Option(help="Seconds between looks at the models folder.")] = 2.0,
) -> None:
    """Serve models over HTTP: the Open Inference Protocol, image classification, metrics.

    VISION_ZOO_API_KEY, if set, is the key that clients must send.
    """
    from vision_zoo.serving.server.settings import ServerSettings

    limits = {} if max_concurrency is None else {"max_concurrency": max_concurrency}
    settings = ServerSettings(
        models_dir=models_dir,
        host=host,
        port=port,
        provider=provider,
        threads=threads,
        api_key=os.environ.get("VISION_ZOO_API_KEY") or None,
        demo=page,
        open_to_all=open_to_all,
        max_body_bytes=int(max_body_mb * 2**20),
        max_batch=max_batch,
        max_queue=max_queue,
        deadline_seconds=deadline,
        read_seconds=read_seconds,
        reload_seconds=reload,
        **limits,
    )
    _warn_of_fallback(provider)
    from vision_zoo.serving.server.run import serve as run_server

    run_server(settings)


def info(model: Model, models_dir: ModelsDir = None, as_json: Json = False) -> None:
    """Show all that an exported model says and consists of."""
    from vision_zoo.inspection import describe_model, overview
    from vision_zoo.serving.models import find_model
    from vision_zoo.tables import render

    described = describe_model(find_model(model, models_dir))
    if as_json:
        print_json(described)
        return
    print(render(overview(described), "table", title=described["name"]))
    if described["layers"] is None:
        print("\nIts layers are shown where the package onnx is installed (the extra `train`).")
        return
    layers = [{**layer, "output": " x ".join(map(str, layer["output"]))} for layer in described["layers"]]
    print("\n" + render(layers, "table", title="Layers, for one image"))


def doctor(models_dir: ModelsDir = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Look for what keeps this machine from running models, and say what to do."""
    from dataclasses import asdict

    from vision_zoo.doctor import diagnose

    findings = diagnose(models_dir, data_dir)
    problems = [finding for finding in findings if finding.state == "problem"]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            print(f"{_MARKS[finding.state]} {finding.check}: {finding.detail}")
            if finding.remedy:
                print(f"    {finding.remedy}")
    if problems:
        raise DeviceError(
            f"{len(problems)} of {len(findings)} checks found a problem; what to do stands below each"
        )
