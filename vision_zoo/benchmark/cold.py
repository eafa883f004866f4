"""Cold start in a separate process: load time, first run, and memory.

python -m vision_zoo.benchmark.cold MODEL PROVIDER THREADS      prints one JSON object; "" for those of the file
"""

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from vision_zoo.core import onnx_runtime
from vision_zoo.core.errors import ModelError, VisionZooError


@dataclass(frozen=True)
class Cold:
    """Milliseconds of importing ONNX Runtime, loading the model and its first run of one image.

    `memory_mib` is the resident memory that loading and that run added; None if the system does not say.
    """

    import_ms: float
    load_ms: float
    first_run_ms: float
    memory_mib: float | None


def measure_cold(path: Path, *, provider: str, threads: int | None) -> Cold:
    """Load and run the model once in a new process.

    Raises:
        ModelError: that process failed.
    """
    done = subprocess.run(  # noqa: S603  (our own module)
        [sys.executable, "-m", "vision_zoo.benchmark.cold", str(path), provider, str(threads or "")],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ModelError(f"{path} cannot be loaded in a separate process: {reason}")
    return Cold(**json.loads(done.stdout))


def main() -> None:
    path, provider, threads = sys.argv[1:]
    milliseconds = []
    clock = time.perf_counter

    started = clock()
    onnx_runtime.load()
    milliseconds.append(clock() - started)
    import numpy as np

    from vision_zoo.serving.session import Session

    before = _resident_mib()
    started = clock()
    try:
        session = Session(Path(path), provider=provider, threads=int(threads) if threads else None)
        milliseconds.append(clock() - started)
        image = np.zeros((1, *session.metadata.input.shape), dtype=np.uint8)
        started = clock()
        session.predict(image)
        milliseconds.append(clock() - started)
    except VisionZooError as error:
        sys.exit(str(error))
    after = _resident_mib()
    added = None if before is None or after is None else round(after - before, 1)
    imported, loaded, ran = (round(1e3 * value, 3) for value in milliseconds)
    print(json.dumps(asdict(Cold(imported, loaded, ran, added))))


def _resident_mib() -> float | None:
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return None
    import resource

    return int(statm.read_text(encoding="utf-8").split()[1]) * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
