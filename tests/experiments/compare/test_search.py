"""Who goes on to the next rung, and what a second call knows of the first."""

from pathlib import Path
from typing import cast

import pytest

from tests.training.runs import assert_same, start, write_few_digits
from vision_zoo.core.progress import SilentProgress
from vision_zoo.data.dataset import Splits
from vision_zoo.experiments.compare import search
from vision_zoo.experiments.compare.budget import BudgetProgress
from vision_zoo.experiments.compare.candidates import Candidate
from vision_zoo.experiments.compare.journal import Journal
from vision_zoo.experiments.compare.place import Place
from vision_zoo.experiments.compare.search import Standing, better_half
from vision_zoo.recipes import recipe_for
from vision_zoo.training import train
from vision_zoo.training.run_directory import RunDirectory


def _standing(architecture: str, p50_ms: float, accuracy: float) -> Standing:
    candidate = Candidate(recipe_for(architecture, "mnist-5k"), p50_ms, 1.0, 0.0, 1.0, 1.0)
    return Standing(candidate, 3, accuracy)


def _names(standings: list[Standing]) -> list[str]:
    return [standing.candidate.architecture for standing in standings]


def test_a_small_model_is_not_lost_to_large_ones() -> None:
    standings = [
        _standing("small_cnn", 0.02, 0.80),  # the quickest
        _standing("lenet", 0.05, 0.79),  # slower and worse than small_cnn
        _standing("simple_cnn", 0.10, 0.95),
        _standing("mobilenet", 0.30, 0.90),  # slower and worse than simple_cnn
        _standing("vit", 0.50, 0.96),
        _standing("all_cnn", 1.00, 0.94),
    ]
    assert _names(better_half(standings)) == ["vit", "simple_cnn", "small_cnn"]


def test_half_is_rounded_up_and_two_stay() -> None:
    three = [_standing("small_cnn", 1, 0.5), _standing("lenet", 2, 0.6), _standing("vit", 3, 0.4)]
    assert _names(better_half(three)) == ["lenet", "small_cnn"]
    assert len(better_half(three[:2])) == 2
    assert len(better_half(three[:1])) == 1


def test_where_a_front_is_too_large_the_most_accurate_of_it_stay() -> None:
    front = [
        _standing("small_cnn", 1, 0.5),
        _standing("lenet", 2, 0.6),
        _standing("vit", 3, 0.7),
        _standing("all_cnn", 4, 0.8),
    ]
    assert _names(better_half(front)) == ["all_cnn", "vit"]


class _Clock:
    """A journal whose time is what `train` says."""

    spent = 0.0


@pytest.mark.parametrize("seeds", [1, 3])
def test_what_quick_ones_leave_goes_to_slow_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seeds: int
) -> None:
    """Four end by themselves after ten epochs of a second; the vision transformer's take ten seconds."""
    place, clock = Place(tmp_path, "cpu", None), _Clock()
    quick = ["small_cnn", "lenet", "simple_cnn", "basic_cnn"]
    names = [*quick, "vit"]
    found = [
        Candidate(recipe_for(name, "mnist-5k"), 1.0 + rank, 1.0, 0.0, 10.0 if name == "vit" else 1.0, 1.0)
        for rank, name in enumerate(names)
    ]
    epochs = dict.fromkeys(names, 0)

    def train_for(candidate: Candidate, seconds: float, key: str, *_: object) -> tuple[int, float] | None:
        name = candidate.architecture
        while epochs[name] < 10 and seconds >= candidate.epoch_seconds:
            epochs[name] += 1
            seconds -= candidate.epoch_seconds
            clock.spent += candidate.epoch_seconds
        if epochs[name] == 10:
            run = place.run(candidate.recipe)
            run.mkdir(parents=True, exist_ok=True)
            (run / "metrics.json").touch()
        return (epochs[name], epochs[name] / 10 - names.index(name) / 100) if epochs[name] else None

    monkeypatch.setattr(search, "train_for", train_for)
    outcome = search.successive_halving(
        found,
        place,
        cast("Journal", clock),
        seconds=120.0,
        seeds=seeds,
        progress=BudgetProgress(SilentProgress(), lambda: clock.spent, 120.0),
    )
    assert not outcome.left_out
    assert [epochs[name] for name in quick] == [10] * 4
    groups = [outcome.finalists, outcome.rest_of_the_front, outcome.others]
    assert sorted(one.candidate.architecture for group in groups for one in group) == sorted(names)
    needed = (seeds - 1) * sum(one.seconds for one in outcome.finalists)
    assert epochs["vit"] == pytest.approx((120 - 40 - needed) / 10, abs=1)
    assert clock.spent <= 120 - needed


def test_what_the_dropped_leave_goes_to_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two end by themselves after ten epochs, the two best never."""
    place, clock = Place(tmp_path, "cpu", None), _Clock()
    names = ["small_cnn", "lenet", "simple_cnn", "basic_cnn"]
    found = [
        Candidate(recipe_for(name, "mnist-5k"), 1.0 + rank, 1.0, 0.0, 1.0, 1.0)
        for rank, name in enumerate(names)
    ]
    epochs = dict.fromkeys(names, 0)

    def train_for(candidate: Candidate, seconds: float, *_: object) -> tuple[int, float]:
        name = candidate.architecture
        most = 1000 if name in names[2:] else 10
        new = min(most - epochs[name], max(1, int(seconds)))
        epochs[name] += new
        clock.spent += new
        if epochs[name] == most:
            place.run(candidate.recipe).mkdir(parents=True, exist_ok=True)
            (place.run(candidate.recipe) / "metrics.json").touch()
        return epochs[name], 0.1 * names.index(name)

    monkeypatch.setattr(search, "train_for", train_for)
    bar = BudgetProgress(SilentProgress(), lambda: clock.spent, 200.0)
    outcome = search.successive_halving(
        found, place, cast("Journal", clock), seconds=200.0, seeds=1, progress=bar
    )
    assert sorted(one.candidate.architecture for one in outcome.finalists) == ["basic_cnn", "simple_cnn"]
    assert (epochs["small_cnn"], epochs["lenet"]) == (10, 10)
    assert 0.9 * 200 < clock.spent <= 200


def test_the_journal_goes_on_where_the_last_call_stopped(tmp_path: Path) -> None:
    path, now = tmp_path / "journal.json", [100.0]
    first = Journal(path, {"dataset": "mnist-5k"}, lambda: now[0])
    assert first.done("rung 0 lenet") is None
    now[0] = 107.5
    first.keep("rung 0 lenet", [3, 0.5])
    now[0] = 500.0
    again = Journal(path, {"dataset": "mnist-5k"}, lambda: now[0])
    assert not again.differing
    assert again.done("rung 0 lenet") == [3, 0.5]
    now[0] = 502.0
    assert again.spent == 9.5
    assert Journal(path, {"dataset": "mnist"}).differing


def test_a_head_is_trained_where_its_features_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In all of the time that is left, not in a part of it; one that does not fit is left out, with the reason."""
    place, clock = Place(tmp_path, "cpu", None), _Clock()
    bar = BudgetProgress(SilentProgress(), lambda: clock.spent, 60.0)
    monkeypatch.setattr(search, "train_for", lambda *_: (1, 0.9))
    for head_seconds, fits in ((58.0, True), (61.0, False)):
        candidate = Candidate(recipe_for("lenet", "mnist-5k"), 1.0, 1.0, head_seconds, 0.1, 1.0)
        head = search.train_head(candidate, place, cast("Journal", clock), seconds=60.0, progress=bar)
        if fits:
            assert head == Standing(candidate, 1, 0.9)
        else:
            assert "the first epoch takes about 61 s, more than its part of the budget, 60 s" in str(head)


def test_who_was_left_out_is_trained_only_where_it_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = Candidate(recipe_for("vit", "mnist-5k"), 1.0, 1.0, 0.0, 10.0, 1.0)
    place, clock = Place(tmp_path, "cpu", None), _Clock()
    bar = BudgetProgress(SilentProgress(), lambda: clock.spent, 60.0)
    monkeypatch.setattr(search, "train_for", lambda *_: (3, 0.5))
    for spent, reached in ((49.0, 3), (51.0, None)):
        clock.spent = spent
        standing = search.with_what_is_left(
            candidate, place, cast("Journal", clock), seconds=60.0, progress=bar
        )
        assert (None if standing is None else standing.epochs) == reached


def test_a_run_that_was_ended_goes_on_with_its_other_seeds(tmp_path: Path, mnist_5k: Splits) -> None:
    """As if the budget had not ended it."""
    dataset = write_few_digits(mnist_5k, tmp_path / "digits")
    recipe = recipe_for("small_cnn", dataset, image_size=16).override(epochs=3, patience=3)
    candidate = Candidate(recipe, 1.0, 1.0, 0.0, 0.01, 1.0)
    place = Place(tmp_path, "cpu", None)
    place.train(recipe, SilentProgress(), lambda record: record.epoch < 1)
    train.finish(place.run(recipe), device="cpu", data_dir=None, progress=SilentProgress())
    other = recipe.override(seed=1)
    place.train(other.override(epochs=1), SilentProgress())
    journal = Journal(tmp_path / "journal.json", {})
    bar = BudgetProgress(SilentProgress(), lambda: journal.spent, 1e6)
    standing = search.go_on(Standing(candidate, 1, 0.5), 3, place, journal, seconds=1e6, progress=bar)
    assert standing.epochs == 3
    assert RunDirectory(place.run(other)).metrics().epochs == 3
    start(recipe, tmp_path / "whole")
    assert_same(tmp_path / "whole", place.run(recipe))
    again = search.go_on(standing, 3, place, journal, seconds=1e6, progress=bar)  # in a second call
    assert again == standing
