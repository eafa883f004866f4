"""Options and messages that several commands share."""

import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_origin

import typer

from vision_zoo.cli.document import reserve_stdout
from vision_zoo.core.choices import DeviceName, ProviderName
from vision_zoo.core.errors import UsageError

if TYPE_CHECKING:
    from vision_zoo.core.class_metrics import ClassMetrics
    from vision_zoo.recipes.settings import Setting

Format = TypeVar("Format", bound=str)
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
Models = Annotated[
    list[str],
    typer.Argument(metavar="MODEL…", help="Exported models: names or .onnx files.", show_default=False),
]
BatchSizes = Annotated[str, typer.Option(help="Batch sizes, comma-separated.")]
Runtime = Annotated[
    Path | None,
    typer.Option(
        help="Folder with the npm package onnxruntime-web, unpacked. Default: fetched once with npm.",
        metavar="DIR",
    ),
]


def json_or(chosen: Format, default: Format, *, as_json: bool) -> "Format | Literal['json']":
    """The output format; UsageError where `--json` and another `--format` are given."""
    if as_json and chosen not in (default, "json"):
        raise UsageError(f"--json and --format {chosen} contradict each other; omit one of them")
    return "json" if as_json else chosen


def tell_of_fetching(runtime: Path | None) -> None:
    """Print on stderr that npm is about to fetch ONNX Runtime Web, where it is."""
    from vision_zoo.serving.web.runtime import PACKAGE, VERSION, cache_folder

    if runtime is None and not cache_folder().is_dir():
        print(f"fetching {PACKAGE} {VERSION} with npm, once (33 MB)", file=sys.stderr)


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command with `**settings` the options of a recipe: their values by name, None for those not given."""
    *own, last = inspect.signature(command).parameters.values()
    if last.kind is last.VAR_KEYWORD:
        from vision_zoo.recipes.options import COMPARED, OPTIONS

        settings = COMPARED if command.__name__ == "compare" else OPTIONS
        options = map(_parameter, settings.values())
        command.__signature__ = inspect.Signature([*own, *options])  # type: ignore[attr-defined]
    return command


def _parameter(setting: "Setting") -> inspect.Parameter:
    from vision_zoo.recipes.options import option_name

    name, kind = option_name(setting.name), setting.type
    form: dict[str, Any] = {}
    if get_origin(kind) is tuple:
        kind, form = str, {"parser": _numbers, "metavar": "LOW,HIGH"}
    option = typer.Option(
        f"--{name}/--no-{name}" if kind is bool else f"--{name}",
        help=setting.help,
        rich_help_panel=(setting.group or "training").capitalize(),
        **form,
    )
    return inspect.Parameter(
        setting.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )


def integers(text: str) -> tuple[int, ...]:
    """The numbers of `--batch-sizes`; UsageError if they are none."""
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError as error:
        raise UsageError(
            f"--batch-sizes {text!r} is not a list of integers; expected for instance 1,8,64"
        ) from error


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(map(float, text.split(",")))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r:.60} is not a list of numbers, such as 0.8,1") from error


def warn_of_fallback(*providers: str) -> None:
    if "auto" in providers:
        from vision_zoo.serving.providers import auto_notice

        notice = auto_notice()
        if notice:
            print(f"warning: {notice}; run `vision-zoo doctor` for details", file=sys.stderr)


def print_classes(classes: "Sequence[ClassMetrics]", top_5_accuracy: float | None) -> None:
    """Print precision, recall and F1 of the classes, and the accuracy of the five best labels where there is one."""
    if not classes:  # a run of an earlier version
        return
    from vision_zoo.core.class_metrics import class_heading, class_table
    from vision_zoo.core.tables import render

    if top_5_accuracy is not None:
        print(f"{top_5_accuracy:.2%} top-5 accuracy")
    print(f"\n{class_heading(classes)}:")
    print(render(class_table(classes), "table"))


def report_model(path: Path) -> None:
    """Print on stderr which file is used."""
    from vision_zoo.artifact import manifest

    listed = path.name in manifest.read(path.parent)
    print(f"using {path} ({'verified' if listed else 'not listed in a manifest'})", file=sys.stderr)
