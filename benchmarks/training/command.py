"""What the benchmarks of training share: their options, and how they keep what they measured."""

import argparse
from pathlib import Path
from typing import Any

from vision_zoo.core.environment import Environment, usable_cores
from vision_zoo.core.json_file import fields_of, read_if_present
from vision_zoo.core.results import SCHEMA_VERSION, result_path, write_result

ROOT = Path(__file__).resolve().parents[2]


def parser(description: str | None, *, recipes: tuple[str, ...], rounds: int) -> argparse.ArgumentParser:
    """Options with their defaults."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("recipes", nargs="*", default=recipes)
    made.add_argument("--rounds", type=int, default=rounds)
    made.add_argument("--threads", type=int, default=usable_cores())
    made.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    made.add_argument("--data-dir", type=Path)
    made.add_argument("--results-dir", type=Path, default=ROOT / "results")
    return made


def keep(
    kind: str,
    environment: Environment,
    more: dict[str, Any],
    recipe: str,
    measured: dict[str, Any],
    options: argparse.Namespace,
) -> Path:
    """Beside recipes that were measured earlier in the same way. `more` is added to the environment."""
    path = result_path(options.results_dir, environment, kind)
    document: dict[str, Any] = {
        "schema": SCHEMA_VERSION,
        "kind": kind,
        "environment": {**fields_of(environment), **more},
        "rounds": options.rounds,
        "recipes": {},
    }
    former: dict[str, Any] = read_if_present(path, dict) or {}
    if all(former.get(key) == document[key] for key in ("schema", "environment", "rounds")):
        document["recipes"] |= former["recipes"]
    document["recipes"][recipe] = measured
    write_result(path, document)
    return path
