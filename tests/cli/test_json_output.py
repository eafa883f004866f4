"""`--json` prints one document, whatever else is printed meanwhile."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_NOISE = """
import atexit, os, subprocess, sys, threading
from vision_zoo.cli import start

def noise(where):
    print("print", where)
    sys.stdout.write("no line end " + where)
    os.write(1, f"descriptor {where}\\n".encode())
    subprocess.run(["echo", "child " + where], check=True)
    if where == "during" or sys.version_info[:2] != (3, 12):  # which begins no thread while it exits
        thread = threading.Thread(target=print, args=("thread " + where,))
        thread.start()
        thread.join()

real = start._listing
def noisy(*arguments):
    noise("during")
    return real(*arguments)

start._listing = noisy
atexit.register(noise, "at exit")
sys.argv = ["vision-zoo", *sys.argv[1:]]
from vision_zoo.cli import main
main()
"""


def _run(*arguments: str, cwd: Path, stdout: str = "") -> subprocess.CompletedProcess[str]:
    """`vision-zoo` in a process whose libraries print on stdout; the shell leads its own to `stdout`."""
    command = ["sh", "-c", f'exec "$@" {stdout}', "sh", sys.executable, "-c", _NOISE, *arguments]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, env=os.environ, timeout=60
    )


def test_nothing_but_the_document_is_on_stdout(tmp_path: Path) -> None:
    done = _run("list", "recipes", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "simple_cnn-mnist" in [entry["name"] for entry in json.loads(done.stdout)]
    for where in ("during", "at exit"):
        for source in ("print", "no line end", "descriptor", "child", "thread"):
            if (source, where) != ("thread", "at exit") or sys.version_info[:2] != (3, 12):
                assert f"{source} {where}" in done.stderr


def test_an_error_is_still_one_line_and_nothing_is_on_stdout(tmp_path: Path) -> None:
    done = _run("list", "recipe", "--json", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert [line for line in done.stderr.splitlines() if line.startswith("error: ")] != []
    assert "Traceback" not in done.stderr


def test_without_json_the_result_goes_to_stdout(tmp_path: Path) -> None:
    done = _run("list", "recipes", cwd=tmp_path)
    assert "simple_cnn-mnist" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_document_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    done = _run("list", "recipes", "--json", cwd=tmp_path, stdout="> /dev/full")
    assert done.returncode == 1
    assert done.stderr.count("error: cannot write the result: No space left on device") == 1


def test_a_document_that_nobody_reads_ends_quietly(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "vision_zoo", "list", "recipes", "--json"],
        cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
    )  # fmt: skip
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")
