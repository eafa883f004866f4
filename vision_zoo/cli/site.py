"""`site`: a static site of exported models."""

from pathlib import Path
from typing import Annotated

import typer

from vision_zoo.cli.document import print_json
from vision_zoo.cli.options import Json, ModelsDir, Runtime, tell_of_fetching
from vision_zoo.core.tables import counted


def site(
    folder: Annotated[Path, typer.Argument(help="Folder to write.", metavar="DIR", show_default=False)],
    models_dir: ModelsDir = None,
    bench: Annotated[
        Path | None,
        typer.Option(help="Latencies, from `vision-zoo bench --format json`.", metavar="FILE"),
    ] = None,
    results_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of measured results. Default: the results of the shipped models."),
    ] = None,
    title: Annotated[str, typer.Option(help="Heading of the site.")] = "Model zoo",
    runtime: Runtime = None,
    as_json: Json = False,
) -> None:
    """Write a static site of exported models: a table, a page for each, and one to try it in a browser."""
    from vision_zoo import api

    tell_of_fetching(runtime)
    written = api.site(
        folder, models_dir=models_dir, bench=bench, results_dir=results_dir, title=title, runtime=runtime
    )
    if as_json:
        print_json({"site": str(written.page), "bytes": written.size, "models": list(written.models)})
        return
    print(
        f"{written.page}: {counted(len(written.models), 'model')}, {written.size / 1e6:.1f} MB; open it in a browser"
    )
