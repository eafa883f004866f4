"""Options and messages that several commands share."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from vision_zoo.cli.document import reserve_stdout
from vision_zoo.core.choices import DeviceName, ProviderName

DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder with the datasets. Default: VISION_ZOO_DATA, then the cache, then a download."),
]
ModelsDir = Annotated[Path | None, typer.Option(help="Folder of exported models. Default: exported/.")]
Device = Annotated[DeviceName, typer.Option(help="Device to compute on.")]
Provider = Annotated[ProviderName, typer.Option(help="Execution provider of ONNX Runtime.")]
Json = Annotated[
    bool,
    typer.Option("--json", callback=reserve_stdout, help="Print exactly one JSON document on stdout."),
]
Model = Annotated[
    str,
    typer.Argument(
        help="Path of an .onnx file, or a name from `vision-zoo list models`.", show_default=False
    ),
]


def warn_of_fallback(*providers: str) -> None:
    if "auto" in providers:
        from vision_zoo.serving.providers import auto_notice

        notice = auto_notice()
        if notice:
            print(f"warning: {notice}; run `vision-zoo doctor` for details", file=sys.stderr)


def report_model(path: Path) -> None:
    """Print on stderr which file is used."""
    from vision_zoo.artifact import manifest

    listed = path.name in manifest.read(path.parent)
    print(f"using {path} ({'verified' if listed else 'not listed in a manifest'})", file=sys.stderr)
