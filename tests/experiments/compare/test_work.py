"""What the budget is spent on, with networks that take as long as they are said to."""

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from vision_zoo.core.progress import SilentProgress
from vision_zoo.experiments.compare import search, work
from vision_zoo.experiments.compare.budget import BudgetProgress
from vision_zoo.experiments.compare.candidates import Candidate
from vision_zoo.experiments.compare.images import ComparedImages
from vision_zoo.experiments.compare.journal import Journal
from vision_zoo.experiments.compare.place import Place
from vision_zoo.experiments.compare.reserve import exporting_seconds, measuring_seconds
from vision_zoo.experiments.compare.settings import STUDENT, ComparisonSettings
from vision_zoo.recipes import recipe_for

_EPOCHS = 20
"""After which a network stops early."""


@dataclass
class _Said(SilentProgress):
    lines: list[str]

    def line(self, text: str) -> None:
        self.lines.append(text)


class _World:
    """Seconds pass only here. `epoch_seconds` by architecture; heads take `head_seconds` for their features."""

    def __init__(self, folder: Path, budget: float, *, slower: float = 1.0, **epoch_seconds: float) -> None:
        self.now = 0.0
        self.trained: list[str] = []
        self.epochs = dict.fromkeys(epoch_seconds, 0)
        self.said: list[str] = []
        self._epoch_seconds, self._slower = epoch_seconds, slower
        self.settings = ComparisonSettings(
            dataset="mnist-5k", architectures=tuple(epoch_seconds), budget_seconds=budget
        )
        journal = Journal(folder / "journal.json", self.settings.to_json(), lambda: self.now)
        self.place = Place(folder, "cpu", None)
        bar = BudgetProgress(_Said(self.said), lambda: journal.spent, budget)
        images = cast("ComparedImages", SimpleNamespace(of=lambda _: (None, SimpleNamespace(test=None))))
        self.work = work.Work(
            self.settings, images, self.place, journal, bar, torch.device("cpu"), lambda: self.now
        )

    def ticking(self) -> float:
        """Time that passes wherever somebody looks at the clock."""
        self.now += 0.01
        return self.now

    def look_at(self, name: str, *_: object, **__: object) -> Candidate:
        head = name in ("alexnet_finetuned", "efficientnet_lite0")
        seconds = self._epoch_seconds[name]
        self.now += 0.3 if head else 2.0
        recipe = recipe_for(name, "mnist-5k")
        recipe = recipe.override(optimizer="lbfgs", epochs=1) if head else recipe
        start, epoch = (seconds, 0.1) if head else (0.0, seconds)
        return Candidate(recipe, 10.0 if head else 0.5, 1.0, start, epoch, 0.3 if head else 2.0, 60)

    def train_for(
        self, candidate: Candidate, seconds: float, *_: object, **__: object
    ) -> tuple[int, float] | None:
        name, head = candidate.architecture, candidate.start_seconds > 0
        if not self.epochs[name] and candidate.epoch_seconds > max(2 * seconds, 1.0):
            return None
        self.trained.append(name)
        epochs = min(
            1 if head else _EPOCHS - self.epochs[name], max(1, int(seconds / candidate.epoch_seconds))
        )
        self.epochs[name] += epochs
        self.now += candidate.start_seconds + epochs * candidate.epoch_seconds
        if self.epochs[name] == _EPOCHS or head:
            run = self.place.run(candidate.recipe)
            run.mkdir(parents=True, exist_ok=True)
            (run / "metrics.json").touch()
        return self.epochs[name], 0.5

    def exported(self, standing: Any, *_: object) -> Any:
        self.now += self._slower * exporting_seconds(standing.candidate, self.settings)
        name = standing.candidate.architecture
        return SimpleNamespace(
            standing=standing, session=SimpleNamespace(path=name), accuracy=0.9, right=[True] * 60
        )

    def measured(self, ready: Any, *_: object, brief: bool) -> Any:
        candidate = ready.standing.candidate
        whole = measuring_seconds(candidate, self.settings) - exporting_seconds(candidate, self.settings)
        self.now += 0.8 if brief else self._slower * whole
        epochs = self.epochs[candidate.architecture]
        ended = epochs == _EPOCHS or candidate.start_seconds > 0
        return _measured(candidate.architecture, epochs=epochs, came_to_its_end=ended)

    def refitted(self, model: Any, ready: Any, *_: object) -> Any:
        name = ready.standing.candidate.architecture
        assert model.figures.architecture == name
        self.now += self._slower * exporting_seconds(ready.standing.candidate, self.settings)
        return _measured(name, epochs=1, came_to_its_end=True, refitted_images=60)

    def run(self, monkeypatch: pytest.MonkeyPatch) -> set[str]:
        monkeypatch.setattr(work, "measure_candidate", self.look_at)
        monkeypatch.setattr(search, "train_for", self.train_for)
        monkeypatch.setattr(work, "exported", self.exported)
        monkeypatch.setattr(work, "measured", self.measured)
        monkeypatch.setattr(work, "refitted", self.refitted)
        monkeypatch.setattr(work, "other_seeds", lambda *_, **__: None)
        monkeypatch.setattr(work, "missing_seeds", lambda *_: [])
        return self.work.run()


def _measured(name: str, **figures: object) -> Any:
    figures = {"refitted_images": None, **figures}
    return SimpleNamespace(figures=SimpleNamespace(architecture=name, precision="fp32", **figures))


_SMALL = {
    "small_cnn": 0.1, "lenet": 0.1, "simple_cnn": 0.4, "basic_cnn": 0.3, "row_lstm": 0.2, "patch_lstm": 0.2,
    "mobilenet": 0.5, "vit": 1.0, "bn_cnn": 1.0, "small_alexnet": 1.0, "all_cnn": 2.0, "conv_block_cnn": 2.0,
    "airbench": 0.6,
}  # fmt: skip
_HEADS = {"efficientnet_lite0": 8.0, "alexnet_finetuned": 4.0}


@pytest.mark.parametrize("slower", [1.0, 1.5])
@pytest.mark.parametrize("budget", [30.0, 60.0, 120.0, 480.0])
def test_the_budget_is_kept_and_nobody_is_left_out_beside_time_to_spare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: float, slower: float
) -> None:
    """Even where measuring takes half as long again as it should."""
    world = _World(tmp_path, budget, slower=slower, **_HEADS, **_SMALL)
    world.run(monkeypatch)
    assert world.now <= 1.1 * budget
    figures = [model.figures for model in world.work.models]
    models = {one.architecture for one in figures}
    assert len(models) == len(figures)
    assert {*models, *world.work.no_time} == {*_HEADS, *_SMALL}
    assert not models & {*world.work.no_time}
    assert {*_HEADS} <= models
    assert {one.architecture for one in figures if one.refitted_images} == {*_HEADS} or budget == 30
    assert {one.architecture: one.epochs for one in figures} == {name: world.epochs[name] for name in models}
    if budget == 480:
        assert not world.work.no_time
    if world.work.no_time:
        cheapest = 0.1 + 2.0 + slower * measuring_seconds(world.look_at("lenet"), world.settings)
        assert world.now > budget - cheapest - 6
        assert all("use a larger --budget" in reason for reason in world.work.no_time.values())


def test_heads_come_first_and_the_quickest_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = _World(tmp_path, 120.0, **_HEADS, **_SMALL)
    finalists = world.run(monkeypatch)
    assert world.trained[:2] == ["alexnet_finetuned", "efficientnet_lite0"]
    assert {*_HEADS} <= finalists
    first = world.said[0]
    assert first.startswith("ready: alexnet_finetuned: 90.00% of 60 test images right (")
    assert world.said[1].startswith("ready: efficientnet_lite0: ")


@pytest.mark.parametrize(("start_seconds", "is_taught"), [(5.0, True), (200.0, False)])
def test_the_student_is_taught_after_the_heads_where_a_part_of_the_time_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start_seconds: float, is_taught: bool
) -> None:
    def taught(student: Candidate, *_: object, **__: object) -> Candidate:
        return replace(student, recipe=student.recipe.override(epochs=3), start_seconds=start_seconds)

    monkeypatch.setattr(work, "taught", taught)
    world = _World(tmp_path, 240.0, **_HEADS, **{STUDENT: 1.0}, **_SMALL)
    world.run(monkeypatch)
    assert world.now <= 1.1 * 240
    assert (world.trained[2] == STUDENT) is is_taught
    assert ("learns from efficientnet_lite0" in " ".join(world.said)) is is_taught
    assert [model.figures.architecture for model in world.work.models].count(STUDENT) == 1


def test_a_head_whose_features_do_not_fit_is_left_out_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = _World(tmp_path, 60.0, efficientnet_lite0=500.0, lenet=0.1)
    world.run(monkeypatch)
    assert [model.figures.architecture for model in world.work.models] == ["lenet"]
    assert "takes about 500 s" in world.work.no_time["efficientnet_lite0"]


def test_a_head_is_left_out_if_the_last_file_took_longer_than_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine everything takes a multiple of its estimate: a first answer in time is enough."""
    world = _World(tmp_path, 60.0, slower=12.0, **_HEADS, lenet=0.1)
    world.run(monkeypatch)
    assert [model.figures.architecture for model in world.work.models] == ["alexnet_finetuned"]
    assert "features and its file take about" in world.work.no_time["efficientnet_lite0"]
    assert world.now <= 66.0


def test_one_network_is_trained_though_nothing_fits_and_no_more_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that is late is better than none; looking at all the others would take as long again."""
    world = _World(tmp_path, 20.0, lenet=15.0, vit=60.0, small_cnn=20.0, airbench=60.0)
    journal = cast("Any", world.work.journal)
    journal._clock = world.ticking
    world.run(monkeypatch)
    assert [model.figures.architecture for model in world.work.models] == ["lenet"]
    assert "to look at it takes about 2 s, and 0 s were left" in world.work.no_time["airbench"]


def test_what_the_budget_ended_goes_on_while_time_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was looked at last has its part of the time, and what the others did not need once all are measured."""
    world = _World(tmp_path, 100.0, **_HEADS, lenet=0.1, vit=2.0)
    monkeypatch.setattr(
        work, "affordable", lambda found, *_: (found[:1], {one.architecture: "" for one in found[1:]})
    )
    monkeypatch.setattr(work.Work, "_train_alone", _for_an_epoch)
    world.run(monkeypatch)
    assert world.trained.count("vit") == 2
    epochs = {model.figures.architecture: model.figures.epochs for model in world.work.models}
    assert epochs["vit"] == world.epochs["vit"] > 1
    assert 90.0 < world.now <= 100.0


def _for_an_epoch(self: work.Work, candidate: Candidate, _parts: int) -> None:
    standing = search.with_what_is_left(
        candidate, self.place, self.journal, seconds=self.journal.spent + 2.1, progress=self.progress
    )
    assert standing is not None
    self._export_and_measure(standing)
