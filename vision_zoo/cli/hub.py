"""`push` and `pull`: models on the Hugging Face Hub."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from vision_zoo.cli.document import print_json
from vision_zoo.cli.options import Json, Model, ModelsDir


def push(
    model: Model,
    repository: Annotated[
        str, typer.Argument(help="OWNER/REPOSITORY; created if it does not exist.", show_default=False)
    ],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository a private one.")] = False,
    models_dir: ModelsDir = None,
    results_dir: Annotated[
        Path | None,
        typer.Option(
            help="Folder of measured results for the card. Default: the results of the shipped models."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Push a model with its card and checksums to the Hugging Face Hub.

    The token is that of `hf auth login`, or HF_TOKEN.
    """
    from vision_zoo.core.results import shipped_results
    from vision_zoo.experiments import hub
    from vision_zoo.serving.models import find_model

    path = find_model(model, models_dir)
    print(f"pushing {path} to {repository}", file=sys.stderr)
    pushed = hub.push(path, repository, results_dir=results_dir or shipped_results(), private=private)
    if as_json:
        print_json({"url": pushed.url, "revision": pushed.revision, "files": list(pushed.files)})
        return
    print(f"{pushed.url}: {', '.join(pushed.files)} in commit {pushed.revision[:12]}")
    print(f"next: vision-zoo pull {repository}/{path.stem}")


def pull(
    model: Annotated[
        str,
        typer.Argument(
            help="OWNER/REPOSITORY, or OWNER/REPOSITORY/MODEL of a repository with several models.",
            show_default=False,
        ),
    ],
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit. Default: the main branch.")
    ] = None,
    output_dir: Annotated[Path, typer.Option(help="Folder for the model and its manifest.")] = Path(
        "exported"
    ),
    as_json: Json = False,
) -> None:
    """Pull a model from the Hugging Face Hub, and verify it before it is put in place."""
    from vision_zoo.core.progress import progress_on_stderr
    from vision_zoo.experiments import hub

    with progress_on_stderr() as progress:
        pulled = hub.pull(model, output_dir, revision=revision, progress=progress)
    if as_json:
        print_json({"model": str(pulled.path), "revision": pulled.revision, "bytes": pulled.size})
        return
    replaced = " (replaced)" if pulled.replaced else ""
    print(f"{pulled.path}{replaced}: {pulled.size / 1e6:.2f} MB of commit {pulled.revision[:12]}, verified")
    print(f"next: vision-zoo predict {pulled.path} IMAGE")
