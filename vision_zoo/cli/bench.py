"""`bench`: latency and throughput of exported models."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vision_zoo.cli.document import json_text, print_document, reserve_stdout
from vision_zoo.cli.options import (
    BatchSizes,
    Json,
    ModelsDir,
    integers,
    json_or,
    report_model,
    warn_of_fallback,
)
from vision_zoo.core.errors import Interrupted
from vision_zoo.core.tables import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vision_zoo.core.benchmark_row import BenchmarkRow
    from vision_zoo.core.environment import Environment

_Format = Literal["table", "json", "csv", "md", "html"]
_SHOWN = ("torch", "openvino", "onnxruntime", "onnxruntime-gpu")


def bench(
    context: typer.Context,
    models: Annotated[list[str] | None, typer.Argument(help="Paths or names. Default: all models.")] = None,
    provider: Annotated[
        str, typer.Option(help="Execution providers, comma-separated: auto, cpu, cuda, tensorrt.")
    ] = "auto",
    batch_sizes: BatchSizes = "1,8,64",
    precision: Annotated[
        str | None, typer.Option(help="Only models in these precisions, comma-separated: fp32, fp16, int8.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="Engines to compare with, comma-separated: torch, torch-compile, openvino, io-binding, cuda-graph."
        ),
    ] = None,
    scenario: Annotated[
        str, typer.Option(help="Scenarios, comma-separated: single-stream, offline, server.")
    ] = "single-stream",
    rate: Annotated[
        float | None,
        typer.Option(
            help="Calls per second in the server scenario. Default: half the rate of a single caller."
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads of each engine. Default: those stored in the file, else 1.")
    ] = None,
    duration: Annotated[float, typer.Option(help="Seconds per engine and batch size.")] = 2.0,
    table_format: Annotated[_Format, typer.Option("--format", help="Output format.")] = "table",
    output: Annotated[Path | None, typer.Option(help="File to write instead of stdout.")] = None,
    models_dir: ModelsDir = None,
    as_json: Json = False,
) -> None:
    """Measure latency and throughput of exported models."""
    table_format = json_or(table_format, "table", as_json=as_json)
    reserve_stdout(context, table_format != "table")
    from vision_zoo.benchmark import BenchmarkSettings, benchmark
    from vision_zoo.core.environment import describe, gpu_name, installed
    from vision_zoo.core.progress import progress_on_stderr
    from vision_zoo.serving.models import find_models, with_precisions

    settings = BenchmarkSettings(
        providers=_names(provider),
        batch_sizes=integers(batch_sizes),
        precisions=_names(precision),
        against=_names(against),
        scenarios=_names(scenario),
        threads=threads,
        seconds=duration,
        rate=rate,
    )
    warn_of_fallback(*settings.providers)
    found = find_models(models or [], models_dir)
    for path in found if models else ():
        report_model(path)
    paths = with_precisions(found, settings.precisions)
    rows: list[BenchmarkRow] = []
    interrupted = False
    try:
        with progress_on_stderr() as progress:
            rows.extend(benchmark(paths, settings, progress, raw=table_format == "html"))
    except KeyboardInterrupt:
        if output is None or not rows:
            raise
        interrupted = True
    environment = describe()
    if any(
        row.provider not in ("CPUExecutionProvider", "torch", "torch-compile", "openvino") for row in rows
    ):
        environment = replace(environment, gpu=gpu_name())
    if any(row.engine == "openvino" for row in rows):
        environment = replace(environment, versions={**environment.versions, **installed(["openvino"])})
    text = _benchmark_text(rows, environment, table_format)
    if output is None:
        print_document(text)
        return
    from vision_zoo.core import atomic

    atomic.write_text(output, text + "\n")
    if interrupted:
        raise Interrupted(f"interrupted; {output} has the results so far: {counted(len(rows), 'row')}")
    print(f"wrote {output}", file=sys.stderr)


def _benchmark_text(rows: "Sequence[BenchmarkRow]", environment: "Environment", table_format: _Format) -> str:
    from vision_zoo.benchmark.tables import flat, footers, tables
    from vision_zoo.core.tables import render

    if table_format == "json":
        return json_text({"environment": environment, "rows": rows})
    if table_format == "html":
        from vision_zoo.benchmark.page import page

        return page(rows, environment)
    if table_format != "table":
        return render(flat(rows), table_format)
    parts = [render(table, "table", title=title) + "\n" for title, table in tables(rows).items()]
    engines = [f"{name} {number}" for name, number in environment.versions.items() if name in _SHOWN]
    return "\n".join([*parts, *footers(rows), f"{environment.description}, {', '.join(engines)}"])


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",")) if text else ()
