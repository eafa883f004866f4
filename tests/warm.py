"""The command line in a process that is forked from one where the heavy packages are already imported.

A command takes as long as it takes, without the seconds that importing torch costs every process. What is
tested about imports and the interpreter itself runs in a process of its own instead (`run_command`).
"""

import functools
import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerProcess, SpawnProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from vision_zoo.core import atomic

if sys.platform == "win32":
    CONTEXT = multiprocessing.get_context("spawn")
else:
    CONTEXT = multiprocessing.get_context("forkserver")
    CONTEXT.set_forkserver_preload(["tests.warm_imports"])
_ADDRESS = "TESTS_FORKSERVER"
_SHARED = sys.platform != "win32" and sys.version_info < (3, 14)  # whose server authenticates its clients


def share_server() -> bool:
    """Start the process to fork from now, for the processes that this one starts as well; whether that can be."""
    if _SHARED:
        forkserver.ensure_running()
        os.environ[_ADDRESS] = vars(forkserver)["_forkserver"]._forkserver_address
    return _SHARED


def use_shared_server() -> None:
    """Fork from the process that `share_server` started, if it did: to import everything takes 8 s."""
    if _SHARED and _ADDRESS in os.environ:
        server = vars(forkserver)["_forkserver"]
        server._forkserver_address = os.environ[_ADDRESS]
        server._forkserver_alive_fd = os.open(os.devnull, os.O_RDONLY)  # a pipe that only its starter has
        server.ensure_running = resource_tracker.ensure_running


def list_operators_once() -> None:
    """Let torch.onnx list the operators that it knows once a process; by itself it does several times a file."""
    listed: Any = importlib.import_module("torch._export.utils")
    if hasattr(listed._collect_all_valid_cia_ops_for_namespace, "cache_info"):
        return
    listed._collect_all_valid_cia_ops_for_namespace = functools.cache(
        listed._collect_all_valid_cia_ops_for_namespace
    )
    registry: Any = importlib.import_module("torch.onnx._internal.exporter._registration").ONNXRegistry
    made_once = functools.cache(registry.from_torchlib)

    def from_torchlib(opset_version: int) -> Any:
        made, copied = made_once(opset_version), registry()
        copied._opset_version = made._opset_version
        copied.functions = {name: [*functions] for name, functions in made.functions.items()}
        return copied

    registry.from_torchlib = staticmethod(from_torchlib)


def draw_nothing() -> None:
    """Let the pictures of runs be empty: to draw them takes longer than to train a small network."""

    def write(path: Path, *_arguments: object, **_options: object) -> None:
        atomic.write_bytes(path, b"")

    nothing = SimpleNamespace(write_curves=write, write_confusion_matrix=write, write_samples=write)
    vars(importlib.import_module("vision_zoo.training.run_outputs"))["plots"] = nothing


def start(
    arguments: list[str],
    *,
    cwd: Path,
    env: dict[str, str],
    output: Path,
    prepare: Callable[[], None] | None = None,
) -> ForkServerProcess | SpawnProcess:
    """Start `vision-zoo`; `output` is a folder for its `stdout` and `stderr`, or a file for all it prints.

    `prepare` is called in its process first.
    """
    process = CONTEXT.Process(target=_command, args=(arguments, cwd, env, output, prepare))
    process.start()
    return process


class Process:
    """A forked process with those methods of `subprocess.Popen` that tests of servers use."""

    def __init__(self, process: ForkServerProcess | SpawnProcess) -> None:
        self._process = process
        assert process.pid is not None
        self.pid = process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("vision-zoo", timeout or 0.0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self._process.exitcode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run(arguments: list[str], *, seconds: float, **options: Any) -> int:
    """Run `vision-zoo` and give its exit code; `options` are those of `start`.

    Raises:
        TimeoutError: it takes longer.
    """
    process = start(arguments, **options)
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(f"vision-zoo {' '.join(arguments)} ran for more than {seconds} s")
    return process.exitcode


def _command(
    arguments: list[str], cwd: Path, env: dict[str, str], output: Path, prepare: Callable[[], None] | None
) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    redirect(output)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    use_shared_server()
    sys.argv = ["vision-zoo", *arguments]
    if prepare is not None:
        prepare()
    from vision_zoo.cli import main

    main()


def redirect(output: Path) -> None:
    """Let what this process prints go to the files `stdout` and `stderr` of a folder, or to one file."""
    places = [output / "stdout", output / "stderr"] if output.is_dir() else [output]
    opened = [os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) for place in places]
    os.dup2(opened[0], 1)
    os.dup2(opened[-1], 2)
