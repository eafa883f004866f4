"""The folder of a run: recipe, environment, results, and the state for resuming.

recipe.json environment.json labels.json split.csv metrics.json history.csv predictions.csv
curves.png confusion_matrix.png samples.png tensorboard/ report.html (of a user's own pictures) cross_validation.csv
checkpoints/{best,refitted}.safetensors  checkpoints/{last,previous}.pt  checkpoints/{cross_validation,views}.npz
"""

import csv
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from vision_zoo.core import atomic, json_file
from vision_zoo.core.class_metrics import ClassMetrics
from vision_zoo.core.environment import Environment
from vision_zoo.core.errors import Interrupted, RunError, RunInUseError, StorageError
from vision_zoo.core.predictions_file import ImagePredictions, read_predictions
from vision_zoo.core.results import DataUsed, EpochRecord, Metrics
from vision_zoo.core.tables import counted, csv_lines
from vision_zoo.recipes.recipe import Recipe

_LOCK_NAME = ".lock"
_POLL_SECONDS = 0.5
_HINT = "restore it, or train again with another --out"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnvironment(Environment):
    """environment.json: also the `processes` that trained, their data, and where the user said that things are."""

    processes: int = 1
    data: DataUsed | None = None
    data_dir: str | None = None
    pretrained: str | None = None
    transfer: str | None = None
    teacher: str | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What metrics.json has in every version: the first wrote no training losses, steps, CPU time or classes."""

    test_accuracy: float
    test_top_5_accuracy: float | None = None
    train_seconds: float
    epochs: int
    classes: Sequence[ClassMetrics] = ()


@dataclass(frozen=True, kw_only=True)
class RunMetrics(Metrics):
    """metrics.json. A row of `confusion_matrix` is a true class, a column a predicted one.

    `test_top_5_accuracy` is None for five classes or fewer.
    """

    test_images: int
    test_top_5_accuracy: float | None = None
    parameters: int
    classes: Sequence[ClassMetrics] = ()
    confusion_matrix: Sequence[Sequence[int]]


def run_name(recipe: str, seed: int) -> str:
    """What the folder of a recipe's run is called."""
    return recipe if seed == 0 else f"{recipe}-seed{seed}"


def refuse_run(folder: Path) -> None:
    """Raise RunError where `folder`, which is for many runs, holds a single one."""
    if (folder / "recipe.json").exists():
        raise RunError(f"{folder} holds a single run; choose another folder with --out")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from training in `folder`, which is made if need be, and remove what they left half-written.

    Raises:
        RunInUseError: another process is training there.
        StorageError: the folder cannot be written.
    """
    atomic.make_folder(folder)
    lock = FileLock(folder / _LOCK_NAME, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise RunInUseError(
            f"{folder} is in use by another training process; wait for it or choose another --out"
        ) from error
    except OSError as error:
        raise atomic.storage_error(folder, error) from error
    try:
        atomic.sweep(folder)
        yield
    finally:
        lock.release()


class RunDirectory:
    """The paths of a run, and reading and writing of its small files.

    `resume_hint` says how to go on; a command of many runs is itself what goes on with them.
    """

    def __init__(self, path: Path, *, resume_hint: str | None = None) -> None:
        self.path = path
        self.resume_hint = (
            resume_hint or f"continue with `vision-zoo train --resume {shlex.quote(str(path))}`"
        )
        self.recipe_file = path / "recipe.json"
        self.environment_file = path / "environment.json"
        self.labels_file = path / "labels.json"
        self.split_file = path / "split.csv"
        self.metrics_file = path / "metrics.json"
        self.history_file = path / "history.csv"
        self.predictions_file = path / "predictions.csv"
        self.report_file = path / "report.html"
        self.cross_validation_file = path / "cross_validation.csv"
        self.cross_validation_logits = path / "checkpoints" / "cross_validation.npz"
        self.tensorboard = path / "tensorboard"
        self.best = path / "checkpoints" / "best.safetensors"
        self.refitted = path / "checkpoints" / "refitted.safetensors"
        self.last = path / "checkpoints" / "last.pt"
        self.views = path / "checkpoints" / "views.npz"
        self.previous = path / "checkpoints" / "previous.pt"

    def require_free(self) -> None:
        """Raise RunError where the folder already holds something."""
        if self.recipe_file.exists():
            state, hint = "an unfinished", self.resume_hint
            if self.finished:
                state, hint = "a finished", f"export it with `vision-zoo export {self.path}`"
            raise RunError(
                f"{self.path} already holds {state} run; {hint}, or choose another folder with --out"
            )
        if self.path.exists() and (not self.path.is_dir() or self._contents()):
            raise RunError(f"{self.path} exists and is not a run; choose another folder with --out")

    def require_recipe(self, recipe: Recipe) -> None:
        """Raise RunError where the run has other settings or another seed than `recipe`; `auto` is any precision."""
        found = self.recipe()
        if recipe.precision == "auto":
            recipe = recipe.override(precision=found.precision)
        if (found.settings(), found.seed) != (recipe.settings(), recipe.seed):
            raise RunError(
                f"{self.path} holds a run with other settings than {recipe.name} has now; move it away or choose "
                "another folder"
            )

    def create(self, recipe: Recipe, environment: RunEnvironment) -> None:
        """Start a run in a new or empty folder.

        Raises:
            RunError: the folder already holds something.
            StorageError: it cannot be written.
        """
        self.require_free()
        json_file.write(self.environment_file, environment, indent=2)
        atomic.write_text(self.recipe_file, recipe.to_json())

    def reopen(self, recipe: Recipe) -> None:
        """Make a finished run an unfinished one of `recipe`.

        Raises:
            StorageError: it cannot be written.
        """
        try:
            self.metrics_file.unlink(missing_ok=True)
        except OSError as error:
            raise atomic.storage_error(self.metrics_file, error) from error
        atomic.write_text(self.recipe_file, recipe.to_json())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """`locked`, for the folder of the run; raises as that does."""
        with locked(self.path):
            atomic.sweep(self.last.parent)
            yield

    def wait_until_free(self) -> None:
        """Wait for a process that is training in this folder."""
        if self.path.is_dir():
            with FileLock(self.path / _LOCK_NAME, poll_interval=_POLL_SECONDS):
                pass

    def _contents(self) -> list[Path]:
        """What is in the folder but the traces of a run that was killed before it began."""
        own = {_LOCK_NAME, self.environment_file.name, self.labels_file.name, self.split_file.name}
        return [entry for entry in self.path.iterdir() if entry.name not in own and entry.suffix != ".tmp"]

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """An existing run.

        Raises:
            RunError: the folder does not exist or holds no run.
        """
        run = cls(path)
        if not run.recipe_file.is_file():
            raise RunError(
                f"{path} is not a run directory; expected a folder with recipe.json, as `vision-zoo train` writes"
            )
        return run

    def recipe(self) -> Recipe:
        try:
            text = self.recipe_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(
                f"{self.recipe_file} cannot be read ({error}); restore it or train again"
            ) from error
        return Recipe.from_json(text, name=str(self.recipe_file))

    def environment(self) -> RunEnvironment:
        return json_file.read(self.environment_file, RunEnvironment, hint=_HINT)

    def require_finished(self) -> None:
        """Raise RunError where training has not ended."""
        if not self.finished:
            raise RunError(f"{self.path} is not finished; {self.resume_hint}")

    def outcome(self) -> Outcome:
        return json_file.read(self.metrics_file, Outcome, hint=_HINT)

    def metrics(self) -> RunMetrics:
        return json_file.read(self.metrics_file, RunMetrics, hint=_HINT)

    @property
    def finished(self) -> bool:
        return self.metrics_file.is_file()

    @contextmanager
    def saying_how_to_resume(self, epochs: int) -> Iterator[None]:
        """Add it to what ends a training of `epochs` and leaves something to go on with."""
        try:
            yield
        except StorageError as error:
            if not self.recipe_file.exists():  # there is nothing to resume yet
                raise
            raise StorageError(f"{error}, then {self.resume_hint}") from error
        except KeyboardInterrupt as error:
            raise Interrupted(
                f"interrupted; saved {self.epochs_saved()} of {counted(epochs, 'epoch')}: {self.resume_hint}"
            ) from error

    def epochs_saved(self) -> int:
        """How many epochs the history holds; each is saved together with its checkpoint."""
        return (
            len(self.history_file.read_text(encoding="utf-8").splitlines()) - 1
            if self.history_file.is_file()
            else 0
        )

    def write_metrics(self, metrics: RunMetrics) -> None:
        json_file.write(self.metrics_file, metrics, indent=2)

    def write_history(self, history: Sequence[EpochRecord]) -> None:
        """One line per epoch; the columns are what was measured in the first."""
        rows = [json_file.fields_of(record) for record in history]
        columns = list(rows[0])
        lines = [columns, *([row.get(column, "") for column in columns] for row in rows)]
        atomic.write_text(self.history_file, csv_lines(lines))

    def history(self) -> list[EpochRecord]:
        """What `write_history` wrote, rounded to five digits.

        Raises:
            RunError: the file is missing or damaged.
        """
        try:
            with self.history_file.open(newline="", encoding="utf-8") as file:
                rows = [
                    {
                        name: int(text) if name in ("epoch", "steps") else round(float(text), 5)
                        for name, text in row.items()
                    }
                    for row in csv.DictReader(file)
                ]
            return msgspec.convert(rows, list[EpochRecord])
        except (OSError, ValueError, TypeError) as error:
            raise RunError(
                f"{self.history_file} is missing or damaged ({error}); train again with another --out"
            ) from error

    def predictions(self, path: Path | None = None) -> ImagePredictions:
        """What was predicted for the test images, in the order of the test split, or what is in `path`.

        Raises:
            RunError: the file is missing or damaged.
        """
        return read_predictions(path or self.predictions_file)
