"""A worker of a shared search, with a storage of Optuna, on one machine or many.

Every worker asks the study for a point, trains it in the point's own folder below a common one, and reports each
epoch's validation accuracy. Storages: a journal file for workers that see the same file system, PostgreSQL for all
others; there lost workers are noticed by their missing heartbeat. Another worker then takes the point up from its
last checkpoint; in a journal it does so in a grid, and TPE tries another point instead.
"""

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.study import MaxTrialsCallback, Study
from optuna.trial import FrozenTrial, Trial, TrialState

from vision_zoo.core.bounds import require_between
from vision_zoo.core.choices import DeviceName, Pruner, Sampler
from vision_zoo.core.errors import (
    SAME_COMMAND,
    Interrupted,
    StorageError,
    TrainingError,
    UsageError,
)
from vision_zoo.core.progress import SilentProgress
from vision_zoo.core.results import EpochRecord, Point
from vision_zoo.core.tables import counted
from vision_zoo.experiments.search.search_space import Range, Space, describe, folder_name, is_whole, tuned
from vision_zoo.experiments.search.study_storage import opened, raise_for_storage, shown
from vision_zoo.experiments.shared_run import start_or_resume_shared
from vision_zoo.recipes import require_effects
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.recipes.training_settings import MAX_COUNT
from vision_zoo.training.run_directory import RunDirectory

_SEARCHED, _DIVERGED = "searched", "diverged"  # attributes of a study and of a trial
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class StudySettings:
    """How points are chosen.

    Args:
        name: workers with the same name and storage share the search.
        sampler: `grid` tries every combination, `tpe` looks where earlier trials were good.
        pruner: `median` ends a point whose epoch is below the median of the others' same epoch.
        trials: finished or pruned ones after which workers stop; a grid ends by itself.
    """

    name: str
    sampler: Sampler = "grid"
    pruner: Pruner = "none"
    trials: int | None = None

    def __post_init__(self) -> None:
        """Raises UsageError for numbers that are out of range or missing."""
        if self.trials is not None:
            require_between("trials", self.trials, 1, MAX_COUNT)
        if self.sampler == "tpe" and self.trials is None:
            raise UsageError("the sampler tpe does not stop by itself; pass --trials")


@dataclass(frozen=True)
class Place:
    """Where a study is kept, where its runs are, and what they run on."""

    storage: str
    out: Path
    device: DeviceName
    data_dir: Path | None


def work(
    recipe: Recipe, space: Space, settings: StudySettings, place: Place, tell: Callable[[str], None]
) -> None:
    """Be one worker of the study until it has ended; `tell` is given a line about every point.

    Raises:
        UsageError: the space or the storage cannot be used.
        StorageError: the storage cannot be reached.
        VisionZooError: whatever a run meets but a loss that is not finite, which ends its point alone.
    """

    def objective(trial: Trial) -> float:
        return _train_point(trial, recipe, space, place)

    def after(_study: Study, trial: FrozenTrial) -> None:
        reached = trial.user_attrs.get(_DIVERGED, trial.state.name.lower())
        if trial.value is not None and trial.state == TrialState.COMPLETE:
            reached = f"{trial.value:.2%} of the validation images right"
        tell(f"{describe(trial.params)}: {reached}")

    callbacks: list[Callable[[Study, FrozenTrial], None]] = [after]
    if settings.trials is not None:
        callbacks.append(MaxTrialsCallback(settings.trials, states=_ENDED))
    with open_study(recipe, space, settings, place.storage) as study:
        try:
            while not _has_ended(study, settings):
                study.optimize(objective, callbacks=callbacks)
        except (Interrupted, KeyboardInterrupt) as error:
            ended = len(study.get_trials(deepcopy=False, states=_ENDED))
            raise Interrupted(f"interrupted; finished {counted(ended, 'point')}: {SAME_COMMAND}") from error


@contextmanager
def open_study(recipe: Recipe, space: Space, settings: StudySettings, storage: str) -> Iterator[Study]:
    """The study of that name, made where there is none.

    Raises:
        UsageError: the space or the storage cannot be used, or the study of that name searches something else.
        StorageError: the storage cannot be reached.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ranges = [field for field, values in space.items() if isinstance(values, Range)]
    if not space:
        raise UsageError("there is nothing to search; give --grid FIELD=VALUE,… or --range FIELD=LOW:HIGH")
    if settings.sampler == "grid" and ranges:
        raise UsageError(
            f"a grid has no ranges; list the values of {ranges[0]} with --grid, or use --sampler tpe"
        )
    for field, values in space.items():
        for value in (values.low, values.high) if isinstance(values, Range) else values:
            require_effects(recipe.override(**{field: value}), {field: value})  # before a worker meets it
    sampler: optuna.samplers.BaseSampler
    if settings.sampler == "grid":
        listed = {field: values for field, values in space.items() if not isinstance(values, Range)}
        # The same seed everywhere: workers have to agree on the order of the points.
        sampler = optuna.samplers.GridSampler(listed, seed=0)
    else:
        sampler = optuna.samplers.TPESampler(constant_liar=True)  # counts points that others are training
    pruner = optuna.pruners.MedianPruner() if settings.pruner == "median" else optuna.pruners.NopPruner()
    try:
        kept = opened(storage)
    except (OSError, ValueError) as error:
        raise StorageError(f"{shown(storage)} cannot be used: {error}") from error
    except Exception as error:
        raise_for_storage(error, storage)
        raise
    try:
        study = optuna.create_study(
            study_name=settings.name,
            storage=kept,
            sampler=sampler,
            pruner=pruner,
            direction="maximize",
            load_if_exists=True,
        )
        _require_same_search(study, recipe, space, settings)
        yield study
    except Exception as error:
        raise_for_storage(error, storage)
        raise
    finally:
        if isinstance(kept, RDBStorage):
            kept.engine.dispose()


def _require_same_search(study: Study, recipe: Recipe, space: Space, settings: StudySettings) -> None:
    searched = {
        "space": {
            field: dataclasses.asdict(values) if isinstance(values, Range) else list(values)
            for field, values in space.items()
        },
        "sampler": settings.sampler,
        "seed": recipe.seed,
    }
    known = study.user_attrs.get(_SEARCHED)
    if known is None:
        study.set_user_attr(_SEARCHED, {**searched, "recipe": recipe.settings()})
        return
    # An earlier version kept the seed among the recipe's settings.
    settings_then = dict(known["recipe"])
    then = {"seed": settings_then.pop("seed", None), **known}
    if not recipe.has_settings(settings_then) or any(
        then[key] != json.loads(json.dumps(value)) for key, value in searched.items()
    ):
        raise UsageError(
            f"the study {settings.name} is another search (other settings, values or sampler); choose another name "
            "with --study"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult(Point):
    """What a point of a study reached. `state` is complete, pruned, fail or diverged."""

    state: str
    validation_accuracy: float | None
    epochs: int
    run: str


def trials_of(study: Study) -> list[TrialResult]:
    """What every point of the study was and reached; of several trials of the same point, the one that came furthest."""
    order = [TrialState.FAIL, TrialState.PRUNED, TrialState.COMPLETE]
    rows: dict[str, TrialResult] = {}
    for trial in sorted(
        (trial for trial in study.get_trials(deepcopy=False) if trial.params and trial.state in order),
        key=lambda trial: (order.index(trial.state), trial.number),
    ):
        name = folder_name(trial.params)
        reached: dict[str, Any] = {
            "state": "diverged" if _DIVERGED in trial.user_attrs else trial.state.name.lower(),
            "validation_accuracy": trial.value if trial.state == TrialState.COMPLETE else None,
            "epochs": len(trial.intermediate_values),
            "run": name,
        }
        rows[name] = TrialResult(**trial.params | reached)
    return list(rows.values())


def _has_ended(study: Study, settings: StudySettings) -> bool:
    if study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        return False  # a point that a worker gave back
    if isinstance(study.sampler, optuna.samplers.GridSampler) and study.sampler.is_exhausted(study):
        return True
    ended = len(study.get_trials(deepcopy=False, states=_ENDED))
    return settings.trials is not None and ended >= settings.trials


def _train_point(trial: Trial, recipe: Recipe, space: Space, place: Place) -> float:
    values = {field: _suggested(trial, field, choices) for field, choices in space.items()}
    point = tuned(recipe).override(**values)
    run = RunDirectory(place.out / folder_name(values))
    reported = 0

    def watch(record: EpochRecord) -> bool:
        nonlocal reported
        if record.epoch > reported:
            reported = record.epoch
            trial.report(record.validation_accuracy or 0.0, reported)
            return not trial.should_prune()
        return True

    try:
        finished = start_or_resume_shared(
            point,
            run.path,
            device=place.device,
            data_dir=place.data_dir,
            progress=SilentProgress(),
            watch=watch,
        )
    except TrainingError as error:
        trial.set_user_attr(_DIVERGED, str(error))
        raise optuna.TrialPruned(str(error)) from error
    except BaseException:  # whoever comes next takes the point up where it is
        given_back = trial.study.get_trials(deepcopy=False)[trial.number]
        trial.study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.WAITING,
                params=given_back.params,
                distributions=given_back.distributions,
                system_attrs=given_back.system_attrs,
            )
        )
        raise
    if not finished:
        raise optuna.TrialPruned
    return run.metrics().validation_accuracy or 0.0


def _suggested(trial: Trial, field: str, values: Sequence[float] | Range) -> float:
    if not isinstance(values, Range):
        chosen = trial.suggest_categorical(field, list(values))
        return int(chosen) if is_whole(field) else float(chosen)
    if is_whole(field):
        return trial.suggest_int(field, int(values.low), int(values.high), log=values.log)
    return trial.suggest_float(field, values.low, values.high, log=values.log)
