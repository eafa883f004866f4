"""Whom a tight budget leaves out."""

from pathlib import Path

import pytest

from vision_zoo.experiments.compare.candidates import Candidate
from vision_zoo.experiments.compare.journal import Journal
from vision_zoo.experiments.compare.reserve import affordable, exporting_seconds, measuring_seconds
from vision_zoo.experiments.compare.settings import ComparisonSettings
from vision_zoo.recipes import recipe_for


def _candidate(architecture: str, epoch_seconds: float) -> Candidate:
    return Candidate(recipe_for(architecture, "mnist-5k"), 0.1, 1.0, 0.0, epoch_seconds, 3.0)


_FOUND = [_candidate("vit", 60.0), _candidate("small_cnn", 1.0), _candidate("lenet", 2.0)]
_EXPORT = 2 * 3.0 + 2.0
_EACH = _EXPORT + 2.0 + 2 * 0.5


@pytest.mark.parametrize(
    ("budget", "kept"),
    [(300.0, ["vit", "small_cnn", "lenet"]), (46.0, ["small_cnn", "lenet"]), (15.0, ["small_cnn"])],
)
def test_the_dearest_are_left_out_first_and_one_always_stays(
    tmp_path: Path, budget: float, kept: list[str]
) -> None:
    settings = ComparisonSettings(dataset="mnist-5k", budget_seconds=budget)
    assert measuring_seconds(_FOUND[0], settings) == pytest.approx(_EACH)
    assert measuring_seconds(_FOUND[0], settings, pace=1.5) == pytest.approx(1.5 * _EACH)
    assert exporting_seconds(_FOUND[0], settings) == pytest.approx(_EXPORT)
    journal = Journal(tmp_path / "journal.json", settings.to_json())
    found, left_out = affordable(_FOUND, settings, journal)
    assert [one.architecture for one in found] == kept
    assert {*left_out, *kept} == {"vit", "small_cnn", "lenet"}
    for reason in left_out.values():
        assert f"the budget of {budget:.0f} s has no time after the others; use a larger --budget" in reason

    slower = [_candidate(one.architecture, 10 * one.epoch_seconds) for one in reversed(_FOUND)]
    again, _ = affordable(slower, settings, Journal(tmp_path / "journal.json", settings.to_json()))
    assert {one.architecture for one in again} == set(kept)
