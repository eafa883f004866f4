"""The entry point: imports the command line where even an early Ctrl-C is one clear line."""

import sys


def main() -> None:
    """Run `vision-zoo`."""
    try:
        from vision_zoo.cli import main as run_command_line

        run_command_line()
    except KeyboardInterrupt:
        sys.exit("error: interrupted")


if __name__ == "__main__":
    main()
