"""The entry point: imports the command line so that an early Ctrl-C prints one clear line."""

import os
import sys

_SPINS = "1000"
"""Looks for work of a waiting OpenMP thread before it sleeps. By default libgomp's threads look for milliseconds, and
where other programs want the same cores that makes training many times slower."""


def main() -> None:
    """Run `vision-zoo`."""
    if {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}.isdisjoint(os.environ):
        # libgomp reads it when it is loaded; worker processes inherit it.
        os.environ["GOMP_SPINCOUNT"] = _SPINS
    try:
        from vision_zoo.cli import main as run_command_line

        run_command_line()
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
