"""Commands to start with: `quickstart` and `list`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from vision_zoo.cli.document import print_json
from vision_zoo.cli.options import Json, ModelsDir
from vision_zoo.core.choices import EntryKind


def quickstart(
    out: Annotated[Path, typer.Option(help="Folder for all output.")] = Path("runs/quickstart"),
    as_json: Json = False,
) -> None:
    """Train, export, verify, measure and run a digit classifier in a minute."""
    from vision_zoo.core.progress import progress_on_stderr
    from vision_zoo.core.tables import render
    from vision_zoo.experiments.quickstart import next_steps, summary
    from vision_zoo.experiments.quickstart import quickstart as run_quickstart

    with progress_on_stderr() as progress:
        result = run_quickstart(out, progress)
    if as_json:
        print_json(result)
        return
    print(render(summary(result), "table", title="vision-zoo quickstart"))
    print("\nNext steps:")
    for command in next_steps(result):
        print(f"  {command}")


def list_entries(
    kind: Annotated[
        EntryKind,
        typer.Argument(
            metavar="KIND", help="recipes, architectures, datasets or models.", show_default=False
        ),
    ],
    models_dir: ModelsDir = None,
    as_json: Json = False,
) -> None:
    """List recipes, architectures, datasets or models."""
    from vision_zoo.cli.listing import listing, summary
    from vision_zoo.core.tables import render

    entries = listing(kind, models_dir)
    if as_json:
        print_json(entries)
    elif entries:
        print(render(summary(kind, entries), "table"))
    else:
        print("no models found; train one and export it", file=sys.stderr)
