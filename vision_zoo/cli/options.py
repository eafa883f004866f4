"""Options that several commands share, and what they all say on stderr."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from vision_zoo.cli.document import reserve_stdout
from vision_zoo.core.choices import DeviceName, ProviderName

DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder with the datasets; without it VISION_ZOO_DATA, the cache, then a download."),
]
ModelsDir = Annotated[Path | None, typer.Option(help="Folder of exported models, instead of exported/.")]
Device = Annotated[DeviceName, typer.Option(help="What to train on.")]
Provider = Annotated[ProviderName, typer.Option(help="ONNX Runtime's execution provider.")]
Json = Annotated[
    bool,
    typer.Option("--json", callback=reserve_stdout, help="Print exactly one JSON document on stdout."),
]
Model = Annotated[
    str, typer.Argument(help="The path of an .onnx file, or a name in exported/.", show_default=False)
]


def warn_of_fallback(*providers: str) -> None:
    if "auto" in providers:
        from vision_zoo.serving.providers import auto_notice

        notice = auto_notice()
        if notice:
            print(f"warning: {notice}; `vision-zoo doctor` says more", file=sys.stderr)


def report_model(path: Path) -> None:
    """Say on stderr which file is used."""
    from vision_zoo.artifact import manifest

    listed = path.name in manifest.read(path.parent)
    print(f"using {path} ({'verified' if listed else 'not listed in a manifest'})", file=sys.stderr)
