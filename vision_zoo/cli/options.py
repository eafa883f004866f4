"""Options that several commands share, and what they all say on stderr."""

import sys
from pathlib import Path
from typing import Annotated, Literal, cast, get_args

import typer

from vision_zoo.cli.document import reserve_stdout
from vision_zoo.core.errors import UsageError

DeviceName = Literal["auto", "cpu", "cuda"]

DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder with the datasets; without it VISION_ZOO_DATA, the cache, then a download."),
]
ModelsDir = Annotated[Path | None, typer.Option(help="Folder of exported models, instead of exported/.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Provider = Annotated[str, typer.Option(help="auto, cpu, cuda or tensorrt.")]
Json = Annotated[
    bool,
    typer.Option("--json", callback=reserve_stdout, help="Print exactly one JSON document on stdout."),
]
Model = Annotated[
    str, typer.Argument(help="The path of an .onnx file, or a name in exported/.", show_default=False)
]


def device_name(name: str) -> DeviceName:
    """`name` if it is a device.

    Raises:
        UsageError: it is none.
    """
    if name not in get_args(DeviceName):
        raise UsageError(f"unknown device {name!r}; expected auto, cpu or cuda")
    return cast(DeviceName, name)


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
