"""Load and run model files once in a separate process: a file may exhaust memory, crash, or never terminate."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CPU_SECONDS = 10
"""That one file may take; on a busy machine the clock says nothing about a model."""
SECONDS = 60
"""That one file may take by the clock: a file system may hang."""
MEMORY = 512 * 2**20
"""Bytes that one file may take beside four times its own size."""

_START = "import sys; sys.path = {!r}; from vision_zoo.serving.model_check import main; main()"
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Checked:
    """What became of a file: the SHA-256 of the content that passed, or why it is refused."""

    path: Path
    sha256: str | None
    reason: str = ""


class ModelChecker:
    """Checks files one after the other; `close` ends a check that is under way, from any thread."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._closed = False

    def check(self, paths: Sequence[Path]) -> Iterator[Checked]:
        """Check every file, in order; ends early where `close` is called."""
        left = list(paths)
        while left and not self._closed:
            for checked in self._check_until_one_fails(tuple(left)):
                left.pop(0)
                yield checked

    def close(self) -> None:
        """Kill the process that checks, and start no other."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()

    def _check_until_one_fails(self, paths: Sequence[Path]) -> Iterator[Checked]:
        try:
            process = self._start()
        except OSError as error:
            yield Checked(
                paths[0], None, f"it cannot be checked ({error.strerror}); the server tries again later"
            )
            return
        if process is None:
            return
        with process:
            try:
                yield from self._answers(process, paths)
            finally:
                process.kill()

    def _answers(self, process: "subprocess.Popen[bytes]", paths: Sequence[Path]) -> Iterator[Checked]:
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018  (for mypy: both are pipes)
        with contextlib.suppress(OSError):  # it has ended already: its exit code says why
            asked = {
                "paths": [str(path.absolute()) for path in paths],
                "cpu_seconds": CPU_SECONDS,
                "parent": os.getpid(),
            }
            process.stdin.write(json.dumps(asked).encode())
            process.stdin.close()
        for path in paths:
            timer = threading.Timer(SECONDS, process.kill)
            timer.daemon = True
            timer.start()
            line = process.stdout.readline()
            timer.cancel()
            if not line.endswith(b"\n"):
                if not self._closed:
                    yield Checked(path, None, f"{path} {_death(process.wait())}")
                return
            answer = json.loads(line)
            yield Checked(path, answer.get("sha256"), answer.get("reason", ""))

    def _start(self) -> "subprocess.Popen[bytes] | None":
        with self._lock:
            if self._closed:
                return None
            self._process = subprocess.Popen(  # noqa: S603  (nothing in it comes from outside)
                [sys.executable, "-P", "-c", _START.format(sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            return self._process


def _death(code: int) -> str:
    if os.name == "posix" and code == -signal.SIGXCPU:
        return f"takes more than {CPU_SECONDS} s to load and to run once"
    if os.name == "posix" and code == -signal.SIGKILL:
        return f"takes more than {SECONDS} s or too much memory to load and to run once"
    return f"ends the process that loads it (exit code {code})"


def main() -> None:
    """Read paths and a limit from stdin, and answer a line for each path."""
    asked = json.load(sys.stdin)
    # What a library prints must not look like an answer.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    _end_with(asked["parent"])
    from vision_zoo.serving.session import Session

    for path in asked["paths"]:
        _limit(Path(path), asked["cpu_seconds"])
        answers.write(json.dumps(_check(Path(path), Session)).encode() + b"\n")


def _check(path: Path, session_type: Any) -> dict[str, str]:
    from vision_zoo.core.errors import VisionZooError

    try:
        session = session_type(path, provider="cpu")
        session.run_once()
    except VisionZooError as error:
        if _is_lack_of_memory(error.__cause__):
            return {"reason": f"{path} takes too much memory to load and to run once"}
        return {"reason": str(error)}
    except MemoryError:
        return {"reason": f"{path} takes too much memory to load and to run once"}
    except Exception as error:  # noqa: BLE001  (whatever a file brings about is told, and the next one is checked)
        return {"reason": f"{path} cannot be used ({type(error).__name__})"}
    return {"sha256": session.sha256}


def _is_lack_of_memory(cause: BaseException | None) -> bool:
    text = str(cause)
    return isinstance(cause, MemoryError) or "bad_alloc" in text or "allocat" in text.lower()


def _end_with(parent: int) -> None:
    """Die with the process that asked, and before it where memory is short."""
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended already
        sys.exit(1)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _limit(path: Path, cpu_seconds: int) -> None:
    if os.name == "nt":
        return
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF)
    _lower(resource.RLIMIT_CPU, int(usage.ru_utime + usage.ru_stime) + 1 + cpu_seconds)
    _lower(resource.RLIMIT_CORE, 0)
    with contextlib.suppress(OSError, ValueError):  # a system without /proc has no such limit either
        fields = Path("/proc/self/status").read_text().split("VmData:")[1].split()
        _lower(resource.RLIMIT_DATA, int(fields[0]) * 1024 + MEMORY + 4 * path.stat().st_size)


def _lower(limit: int, value: int) -> None:
    """Set a soft limit, never above the hard one."""
    import resource

    _, hard = resource.getrlimit(limit)
    resource.setrlimit(limit, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
