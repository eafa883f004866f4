"""A worker of pytest-xdist, forked from the process that commands are forked from: it has imported everything."""

import os
import sys
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

from tests import warm


class _Streams:
    """The pipes from and to the controller, which the forked process takes along."""

    numbers: tuple[int, ...] = (0, 1)

    def __getstate__(self) -> Any:
        return [DupFd(number) for number in self.numbers]

    def __setstate__(self, taken: Any) -> None:
        self.numbers = tuple(one.detach() for one in taken)


def _work(streams: _Streams, folder: Path, environment: dict[str, str]) -> None:
    for number, pipe in enumerate(streams.numbers):
        os.dup2(pipe, number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    warm.use_shared_server()
    with open(0, closefd=False) as stdin:
        first = stdin.readline()
    exec(eval(first), vars(sys.modules["__main__"]))  # as execnet's own `python -c` does


if __name__ == "__main__":
    from tests.worker import _Streams, _work  # the forked process has another module called __main__

    warm.use_shared_server()
    process = warm.CONTEXT.Process(target=_work, args=(_Streams(), Path.cwd(), dict(os.environ)))
    process.start()
    process.join()
    sys.exit(process.exitcode)
