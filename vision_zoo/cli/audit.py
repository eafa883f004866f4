"""`audit`: what is wrong with a folder of pictures."""

from pathlib import Path
from typing import Annotated

import typer

from vision_zoo.cli.document import print_json
from vision_zoo.cli.options import Json


def audit(
    folder: Annotated[
        Path, typer.Argument(help="Folder of images, with one sub-folder per class.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the page and the JSON file. Default: runs/audit/<folder>.")
    ] = None,
    lists: Annotated[
        Path | None, typer.Option("--list", help="Folder for a text file of file names for each finding.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Find damaged files, duplicates, leaks and probable label errors in a folder of images.

    The folder stays as it is.
    """
    from vision_zoo import api
    from vision_zoo.core.tables import render
    from vision_zoo.experiments.audit.page import overview, summary

    audited = api.audit(folder, out=out, lists=lists)
    document = audited.document
    if as_json:
        print_json(document)
        return
    title = f"{document.folder}: {summary(document)}"
    if document.findings:
        print(render(overview(document), "table", title=title))
    else:
        print(f"{title}: no problems found")
    for line in document.not_checked:
        print(f"not checked: {line}")
    for note in document.notes:
        print(f"note: {note}")
    if lists is not None and document.findings:
        print(f"file names: {lists}")
    print(f"report: {audited.page}")
