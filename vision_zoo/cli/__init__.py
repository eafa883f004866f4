"""The command line: one thin function a command. Heavy imports are inside the functions.

`app` carries the commands of `start`, `training` and `serving`; `main` turns every error into one line.
"""

import sys
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from vision_zoo.cli import serving, start, training
from vision_zoo.errors import MissingExtraError, VisionZooError

app = typer.Typer(
    name="vision-zoo",
    pretty_exceptions_enable=False,
    # Help in colours and boxes takes three times as long to load.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS: dict[str, Callable[..., None]] = {
    "quickstart": start.quickstart,
    "list": start.list_entries,
    "train": training.train,
    "export": training.export,
    "reproduce": training.reproduce,
    "evaluate": serving.evaluate,
    "bench": serving.bench,
    "predict": serving.predict,
    "demo": serving.demo,
}
for _name, _command in COMMANDS.items():
    app.command(name=_name)(_command)

_TRAIN_PACKAGES = {
    "matplotlib",
    "mlxtend",
    "onnx",
    "onnxscript",
    "safetensors",
    "tensorboard",
    "torch",
    "torchvision",
}


def main() -> None:
    """Run the command line; every error is one line on stderr and a non-zero exit code."""
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
    except VisionZooError as error:
        _fail(str(error), error.exit_code)
    except TyperException as error:
        _fail(f"{_uncapitalised(error.format_message())} (see {_program()} --help)", 2)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _TRAIN_PACKAGES:
            raise
        missing = MissingExtraError(f"this needs the package {error.name}: pip install 'vision-zoo[train]'")
        _fail(str(missing), missing.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted", 130)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away; there is nobody to tell
        sys.exit(1)
    except MemoryError:
        _fail("out of memory; use a smaller --batch-size or close other programs", 1)
    if code == 130:
        _fail("interrupted", 130)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> NoReturn:
    line = " ".join(message.split())
    print(f"error: {line}", file=sys.stderr)
    sys.exit(code)


def _program() -> str:
    words = [word for word in sys.argv[1:2] if not word.startswith("-") and word in COMMANDS]
    return " ".join(["vision-zoo", *words])


def _uncapitalised(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")


def _show_version(wanted: bool) -> None:
    if wanted:
        from vision_zoo import __version__

        print(f"vision-zoo {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train small-image classifiers, export proven ONNX files, measure them and serve them."""
