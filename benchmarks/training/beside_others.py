"""Training beside other programs: `results/<environment>/training_beside_others.json`.

    python -m benchmarks.training.beside_others [--rounds 3] [--loops 2]

`vision-zoo train` as a user starts it, alone and beside busy loops, in turn; the seconds are those of training, without
the start of the program. Two loops on two cores leave half of the time, so that twice the time alone is the least.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.goals import print_goals
from benchmarks.training.command import ROOT
from benchmarks.training.in_turn import busy
from vision_zoo.core.environment import describe, usable_cores
from vision_zoo.core.results import SCHEMA_VERSION, result_path, write_result
from vision_zoo.training.run_directory import RunDirectory

# Architectures by the epochs of mnist-5k that take some seconds.
_EPOCHS = {"small_cnn": 12, "lenet": 8, "simple_cnn": 3, "row_lstm": 2, "mobilenet": 1}


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """So many processes that never wait, until the end of the block."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def seconds_of(architecture: str, epochs: int) -> float:
    """The seconds that `vision-zoo train` reports of its training."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [
            sys.executable,
            "-m",
            "vision_zoo",
            "train",
            "--architecture",
            architecture,
            "--dataset",
            "mnist-5k",
        ]
        command += ["--epochs", str(epochs), "--device", "cpu", "--no-validate", "--out", str(run)]
        subprocess.run(command, check=True, capture_output=True)
        return RunDirectory.open(run).metrics().train_seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loops", type=int, default=2)
    parser.add_argument("--results-dir", type=Path, default=ROOT / "results")
    options = parser.parse_args()
    reason = busy(os.getloadavg()[0], usable_cores())
    if reason is not None:
        sys.exit(f"error: {reason}")
    seconds: dict[str, dict[str, list[float]]] = {name: {"alone": [], "beside": []} for name in _EPOCHS}
    for _ in range(options.rounds):
        for name, epochs in _EPOCHS.items():
            seconds[name]["alone"].append(round(seconds_of(name, epochs), 3))
            with busy_loops(options.loops):
                seconds[name]["beside"].append(round(seconds_of(name, epochs), 3))
            print(name, *(f"{found[-1]:.2f} s {how}" for how, found in seconds[name].items()), flush=True)
    environment = describe()
    document = {
        "schema": SCHEMA_VERSION,
        "kind": "training_beside_others",
        "environment": environment,
        "loops": options.loops,
        "seconds": seconds,
    }
    path = result_path(options.results_dir, environment, "training_beside_others")
    write_result(path, document)
    print(path)
    print_goals(path)


if __name__ == "__main__":
    main()
