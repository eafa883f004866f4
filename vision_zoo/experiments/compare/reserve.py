"""Budget reserved for measurements, and the candidates that do not fit."""

from collections.abc import Sequence

from vision_zoo.experiments.compare.candidates import Candidate
from vision_zoo.experiments.compare.journal import Journal
from vision_zoo.experiments.compare.measure import SCENARIOS, perturbed_images, timing_seconds
from vision_zoo.experiments.compare.robustness import CORRUPTIONS
from vision_zoo.experiments.compare.settings import ComparisonSettings

_EXPORTS = 2
"""A candidate was exported and timed; a trained model is exported, verified and written."""
_DRAWING, _STARTING = 2.0, 2.0
"""Seconds for what no network makes quicker: the plots of its run, and a process that loads its file."""
_SCORED = 4
"""How often every test image is classified: by the checkpoint and by the file, to verify and to score."""
_MOST = 0.5  # of the time that is left after the candidates were measured
_KEY = "affordable"


def exporting_seconds(candidate: Candidate, settings: ComparisonSettings, pace: float = 1.0) -> float:
    """An estimate for the trained candidate's files; `pace` is how many times as long those before it took."""
    scoring = _SCORED * candidate.test_images * candidate.p50_ms / 1000
    return pace * (_EXPORTS * candidate.measuring_seconds + _DRAWING + scoring) * len(settings.precisions)


def measuring_seconds(candidate: Candidate, settings: ComparisonSettings, pace: float = 1.0) -> float:
    """An estimate for the trained candidate's files and their measurement; `pace` as in `exporting_seconds`."""
    timing = SCENARIOS * timing_seconds(candidate.p50_ms, settings)
    perturbed = perturbed_images(candidate.test_images, candidate.p50_ms, settings)
    scoring = (1 + len(CORRUPTIONS)) * perturbed * candidate.p50_ms / 1000
    measuring = pace * (_STARTING + timing + scoring) * len(settings.precisions)
    return exporting_seconds(candidate, settings, pace) + measuring


def affordable(
    found: Sequence[Candidate], settings: ComparisonSettings, journal: Journal, pace: float = 1.0
) -> tuple[list[Candidate], dict[str, str]]:
    """Those whose measuring leaves half of the time for training, and of the others, by architecture, why not.

    Those that cost most, an epoch and the measuring together, are left out first; a second call of the same comparison
    decides as the first one did.
    """
    kept: list[str] | None = journal.done(_KEY)
    if kept is None:
        time = settings.budget_seconds - journal.spent
        cheapest = sorted(found, key=lambda one: _cost(one, settings, pace))
        while (
            len(cheapest) > 1
            and sum(measuring_seconds(one, settings, pace) for one in cheapest) > _MOST * time
        ):
            cheapest.pop()
        kept = [one.architecture for one in cheapest]
        journal.keep(_KEY, kept)
    left_out = {
        one.architecture: f"one epoch and its measurement take about {_cost(one, settings, pace):.0f} s, for which the "
        f"budget of {settings.budget_seconds:.0f} s has no time after the others; use a larger --budget"
        for one in found
        if one.architecture not in kept
    }
    return [one for one in found if one.architecture in kept], left_out


def _cost(candidate: Candidate, settings: ComparisonSettings, pace: float) -> float:
    return candidate.start_seconds + candidate.epoch_seconds + measuring_seconds(candidate, settings, pace)
