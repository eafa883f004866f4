"""A process that may take so much memory and no more, together with those that it starts."""

import contextlib
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

_CONTROL_GROUPS = Path("/sys/fs/cgroup")


@contextlib.contextmanager
def limited_memory(size: int) -> Iterator[tuple[str, ...]]:
    """What to put before a command. Where no control group can be made, each process has the limit for itself."""
    try:
        group = _make_group(size)
    except OSError:
        yield ("prlimit", f"--data={size}")
        return
    try:
        yield ("sh", "-c", f'echo $$ > "{group}/cgroup.procs" && exec "$@"', "sh")
    finally:
        _remove(group)


def _remove(group: Path) -> None:
    """The kernel lets a group go a little after its last process."""
    deadline = time.monotonic() + 10
    while True:
        try:
            group.rmdir()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _make_group(size: int) -> Path:
    """Raises OSError where that is not allowed."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    ours = {controllers: path.strip("/") for _, controllers, path in lines}
    name = f"vision-zoo-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    if "memory" in ours:  # version 1
        group, limit = _CONTROL_GROUPS / "memory" / ours["memory"] / name, "memory.limit_in_bytes"
    else:
        group, limit = _CONTROL_GROUPS / ours[""] / name, "memory.max"
    group.mkdir()
    try:
        (group / limit).write_text(str(size))
    except OSError:
        group.rmdir()
        raise
    return group
