"""The command line: one thin function per command. Heavy imports are inside the functions.

`app` holds the commands of the modules beside this one; `main` prints every error as one line.
"""

import io
import os
import signal
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NoReturn, get_args, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command_from_info
from typer.models import CommandInfo

from vision_zoo.cli.document import close_stdout
from vision_zoo.cli.options import with_settings
from vision_zoo.core.errors import UsageError, VisionZooError


class _Command(TyperCommand):
    """A command with a section of help per panel. It refuses empty paths: `Path("")` would be the current folder."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        paths = {name for name, hint in get_type_hints(self.callback).items() if _has_paths(hint)}
        for parameter in self.params:
            value = given.get(parameter.name or "")
            if parameter.name in paths and "" in (value if isinstance(value, list | tuple) else [value]):
                raise UsageError(
                    f"{parameter.opts[-1]} is empty; expected a path, or . for the current folder"
                )
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write a section of help for each panel."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            panel = getattr(parameter, "rich_help_panel", None)
            kind = "Arguments" if parameter.param_type_name == "argument" else "Options"
            record = parameter.get_help_record(ctx)
            if record is not None:
                sections.setdefault(panel or kind, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def _has_paths(hint: Any) -> bool:
    return hint is Path or any(map(_has_paths, get_args(hint)))


COMMANDS = {
    "quickstart": "start.quickstart",
    "list": "start.list_entries",
    "audit": "audit.audit",
    "train": "train.train",
    "report": "inspect.report",
    "tune": "experiments.tune",
    "export": "export.export",
    "reproduce": "experiments.reproduce",
    "calibrate": "calibrate.calibrate",
    "optimize": "optimize.optimize",
    "compare": "compare.compare",
    "evaluate": "predict.evaluate",
    "bench": "bench.bench",
    "predict": "predict.predict",
    "serve": "serve.serve",
    "demo": "serve.demo",
    "info": "inspect.info",
    "card": "inspect.card",
    "site": "site.site",
    "push": "hub.push",
    "pull": "hub.pull",
    "doctor": "inspect.doctor",
}
"""The function of every command, in a module beside this one."""


class _Group(TyperGroup):
    """The commands. Each is imported when it is asked for: the options of `train` alone take all recipes."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "commands": dict.fromkeys(COMMANDS)})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  (typer's interface)
        """The command called `cmd_name`, None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        info = CommandInfo(cmd_name, cls=_Command, callback=with_settings(_function(cmd_name)))
        return get_command_from_info(info, pretty_exceptions_short=False, rich_markup_mode=None)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  (typer's interface)
        """Write a line of help for each command."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, (_function(name).__doc__ or "").partition("\n")[0]) for name in COMMANDS]
            )


def _function(command: str) -> Callable[..., None]:
    module, _, name = COMMANDS[command].partition(".")
    function: Callable[..., None] = getattr(import_module(f"vision_zoo.cli.{module}"), name)
    return function


app = typer.Typer(
    name="vision-zoo",
    cls=_Group,
    pretty_exceptions_enable=False,
    # Help in colours and boxes takes three times as long to load.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line; every error is one line on stderr and a non-zero exit code.

    With VISION_ZOO_DEBUG set, an unexpected error keeps its traceback.
    """
    debug = bool(os.environ.get("VISION_ZOO_DEBUG"))
    _prepare_process(debug=debug)
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
        close_stdout()
    except VisionZooError as error:
        _fail(str(error), error.exit_code)
    except TyperException as error:
        text = " ".join(error.format_message().split())
        _fail(f"{text[:1].lower()}{text[1:].rstrip('.')}{_hint(error)} (see {_program()} --help)", 2)
    except ModuleNotFoundError as error:
        from vision_zoo.core.installation import missing_package

        missing = missing_package(error)
        if missing is None:
            _fail_unforeseen(error, debug=debug)
        _fail(str(missing), missing.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted", 130)
    except MemoryError:
        _fail("out of memory; use smaller batches or close other programs", 1)
    except OSError as error:
        _fail_of_system(error)
    except Exception as error:  # noqa: BLE001  (the last resort: one line instead of a traceback)
        _fail_unforeseen(error, debug=debug)
    if code == 130:
        _fail("interrupted", 130)
    sys.exit(code if isinstance(code, int) else 0)


def _prepare_process(*, debug: bool) -> None:
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character shows a question mark
    if not debug and not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries' warnings are for developers
    signal.signal(signal.SIGTERM, _end if _is_server() else _interrupt)


def _open_closed_streams() -> None:
    """Open closed standard streams, so that no file or socket opened later takes their descriptor."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115  (for as long as the process lives)
    if sys.stdout is None:
        if not _is_server():
            sys.exit("error: stdout is closed; the result cannot be written")
        sys.stdout = sys.stderr


def _is_server() -> bool:
    return sys.argv[1:2] in (["serve"], ["demo"])


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _end(_number: int, _frame: object) -> None:
    """Exit with code 0 from a server that has not started or has already ended: there is nothing to save."""
    os._exit(0)


def _fail_of_system(error: OSError) -> NoReturn:
    if isinstance(error, BrokenPipeError) or error.filename is None:
        _discard_stdout()
    if isinstance(error, BrokenPipeError):
        sys.exit(1)
    where = f"{error.filename}: " if error.filename is not None else "cannot write the result: "
    _fail(f"{where}{error.strerror or error}; check the path, its permissions and the free space", 1)


def _discard_stdout() -> None:
    """Discard unwritten output, so that Python does not try to write it again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _fail_unforeseen(error: Exception, *, debug: bool) -> NoReturn:
    if debug:
        raise error
    reason = (str(error).strip() or "no reason given").splitlines()[0]
    _fail(f"unexpected {type(error).__name__}: {reason}; set VISION_ZOO_DEBUG=1 for the traceback", 1)


def _fail(message: str, code: int) -> NoReturn:
    line = " ".join(message.splitlines())
    try:
        close_stdout()  # what was printed stands above the error
    except OSError:
        _discard_stdout()
    print(f"error: {line}", file=sys.stderr)
    sys.exit(code)


def _program() -> str:
    words = [word for word in sys.argv[1:2] if not word.startswith("-") and word in COMMANDS]
    return " ".join(["vision-zoo", *words])


def _hint(error: TyperException) -> str:
    """What to do where a command that finds its models in a folder was given files."""
    parameters = getattr(getattr(getattr(error, "ctx", None), "command", None), "params", ())
    options = {option for parameter in parameters for option in parameter.opts}
    takes_files = any(parameter.param_type_name == "argument" for parameter in parameters)
    if "--models-dir" in options and not takes_files and "extra argument" in error.format_message():
        return "; pass the folder of the models with --models-dir"
    return ""


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
    """Train small image classifiers, export verified ONNX files, measure them and serve them."""
