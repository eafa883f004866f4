"""One run's folder: what was asked for, on what, what came of it, and what is needed to go on.

recipe.json environment.json metrics.json history.csv
curves.png confusion_matrix.png samples.png tensorboard/
checkpoints/best.safetensors  checkpoints/last.pt
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vision_zoo import atomic
from vision_zoo.errors import RunError
from vision_zoo.training.recipe import Recipe


class RunDirectory:
    """The paths of a run, and reading and writing of its small files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recipe_file = path / "recipe.json"
        self.environment_file = path / "environment.json"
        self.metrics_file = path / "metrics.json"
        self.history_file = path / "history.csv"
        self.tensorboard = path / "tensorboard"
        self.best = path / "checkpoints" / "best.safetensors"
        self.last = path / "checkpoints" / "last.pt"

    @classmethod
    def create(cls, path: Path, recipe: Recipe, environment: Mapping[str, Any]) -> "RunDirectory":
        """Start a run in a new or empty folder.

        Raises:
            RunError: the folder already holds something.
            StorageError: it cannot be written.
        """
        run = cls(path)
        if run.recipe_file.exists():
            state = "a finished" if run.metrics_file.exists() else "an unfinished"
            hint = (
                "export it, or choose another folder with --out"
                if run.metrics_file.exists()
                else f"continue with `vision-zoo train --resume {path}`, or choose another folder with --out"
            )
            raise RunError(f"{path} already holds {state} run; {hint}")
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise RunError(f"{path} exists and is not a run; choose another folder with --out")
        atomic.make_folder(path)
        atomic.write_text(run.environment_file, json.dumps(environment, indent=2) + "\n")
        atomic.write_text(run.recipe_file, recipe.to_json())
        return run

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """An existing run.

        Raises:
            RunError: the folder does not exist or holds no run.
        """
        run = cls(path)
        if not run.recipe_file.is_file():
            raise RunError(
                f"{path} is no run directory; expected a folder with recipe.json, as `vision-zoo train` writes"
            )
        return run

    def recipe(self) -> Recipe:
        return Recipe.from_json(self.recipe_file.read_text(), name=str(self.recipe_file))

    def environment(self) -> dict[str, Any]:
        return self._read_json(self.environment_file)

    def metrics(self) -> dict[str, Any]:
        return self._read_json(self.metrics_file)

    @property
    def finished(self) -> bool:
        return self.metrics_file.is_file()

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        atomic.write_text(self.metrics_file, json.dumps(metrics, indent=2) + "\n")

    def write_history(self, history: Sequence[Mapping[str, float]]) -> None:
        """One line an epoch; the columns are the keys of the first epoch's record."""
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
        atomic.write_text(self.history_file, text.getvalue())

    def _read_json(self, path: Path) -> dict[str, Any]:
        try:
            value = json.loads(path.read_text())
            if not isinstance(value, dict):
                raise ValueError("not an object")
        except (OSError, ValueError) as error:
            raise RunError(f"{path} is missing or damaged ({error}); train again") from error
        return value
