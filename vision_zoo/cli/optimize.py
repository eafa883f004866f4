"""`optimize`: what is fastest of exported models on this machine, and still verified."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vision_zoo.cli.document import print_json
from vision_zoo.cli.options import BatchSizes, DataDir, Json, Models, ModelsDir, integers

if TYPE_CHECKING:
    from vision_zoo.exporting.optimize import Candidate, OptimizedFile


def optimize(
    models: Models,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="folder:PATH with labelled images that the model was not trained on. Default: the dataset that it was "
            "trained on, if it is a published one.",
            show_default=False,
        ),
    ] = None,
    batch_sizes: BatchSizes = "1",
    threads: Annotated[
        int | None,
        typer.Option(help="Largest number of threads of a call. Default: one per core.", show_default=False),
    ] = None,
    duration: Annotated[
        float, typer.Option(help="Seconds per candidate, batch size and round of measurements.")
    ] = 0.5,
    output_dir: Annotated[
        Path | None,
        typer.Option(help="Folder for the optimized models. Default: that of the model.", show_default=False),
    ] = None,
    data_dir: DataDir = None,
    models_dir: ModelsDir = None,
    as_json: Json = False,
) -> None:
    """Find the fastest verified version of exported models on this CPU: int8, session options, threads.

    Session options are stored in the file, and used on processors with the same instruction set.
    """
    from vision_zoo.core.progress import progress_on_stderr
    from vision_zoo.exporting.session_search import SearchSettings

    settings = SearchSettings(batch_sizes=integers(batch_sizes), threads=threads, seconds=duration)
    from vision_zoo.core.tables import render
    from vision_zoo.exporting.optimize import optimize_file
    from vision_zoo.serving.models import find_model

    done: list[dict[str, Any]] = []
    with progress_on_stderr() as progress:
        for path in [find_model(model, models_dir) for model in models]:
            progress.line(f"optimizing {path}")
            found = optimize_file(
                path,
                settings,
                dataset=dataset,
                data_dir=data_dir,
                output_dir=output_dir,
                progress=progress,
            )
            done.append(_document(path, found))
            if not as_json:
                title = f"{path}: median latency on {found.options.measured_on}, and speed-up within rounds"
                print(render([_row(one, settings.batch_sizes) for one in found.shown], "table", title=title))
                print(f"\n{_summary(found)}")
            for note in found.notes:
                progress.line(f"warning: {note}")
    if as_json:
        print_json(done)


def _row(one: "Candidate", batch_sizes: tuple[int, ...]) -> dict[str, Any]:
    latencies = one.milliseconds or {}
    return {
        "graph": one.graph,
        "accuracy": None if one.accuracy is None else f"{one.accuracy:.2%}",
        "agreement": None if one.argmax_agreement is None else f"{one.argmax_agreement:.2%}",
        "session options": None if one.options is None else one.options.description,
        **{f"batch {size}, ms": latencies.get(size) for size in batch_sizes},
        "speed-up": None if one.speedup is None else f"{one.speedup:.2f}",
        "": "chosen" if one.chosen else f"left out: {one.reason}" if one.reason else "",
    }


def _summary(found: "OptimizedFile") -> str:
    original, chosen = found.original, found.chosen
    accuracy = (
        f"accuracy {original.accuracy:.2%} before and {chosen.accuracy:.2%} after, {chosen.argmax_agreement:.2%} of "
        f"{found.images:,} predictions equal"
    )
    return (
        f"{found.path}{' (replaced)' if found.replaced else ''}: {chosen.graph}, {found.options.description}; "
        f"{chosen.speedup:.2f} times as fast; {accuracy}"
    )


def _document(path: Path, found: "OptimizedFile") -> dict[str, Any]:
    chosen = found.chosen
    return {
        "model": str(found.path),
        "original": str(path),
        "graph": chosen.graph,
        "session_options": found.options,
        "speedup": chosen.speedup,
        "accuracy": chosen.accuracy,
        "original_accuracy": found.original.accuracy,
        "argmax_agreement": chosen.argmax_agreement,
        "images": found.images,
        "notes": found.notes,
        "candidates": found.candidates,
    }
