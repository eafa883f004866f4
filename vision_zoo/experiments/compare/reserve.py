"""Budget reserved for measurements, and the candidates that do not fit."""

from collections.abc import Sequence

from vision_zoo.experiments.compare.candidates import Candidate
from vision_zoo.experiments.compare.journal import Journal
from vision_zoo.experiments.compare.measure import SCENARIOS, perturbed_images, timing_seconds
from vision_zoo.experiments.compare.robustness import CORRUPTIONS
from vision_zoo.experiments.compare.settings import ComparisonSettings

_MEASURING = 1.7
"""A trained model takes so many times as long to measure as its candidate did: it is also proved and scored."""
_SCORED = 4
"""How often every test image is classified: by the checkpoint and by the file, to verify and to score."""
_MOST = 0.5  # of the time that is left after the candidates were measured
_KEY = "affordable"


def measuring_seconds(candidate: Candidate, settings: ComparisonSettings) -> float:
    """An estimate for the trained candidate's files."""
    timing = len(SCENARIOS) * timing_seconds(candidate.p50_ms, settings)
    perturbed = perturbed_images(candidate.test_images, candidate.p50_ms, settings)
    images = _SCORED * candidate.test_images + (1 + len(CORRUPTIONS)) * perturbed
    scoring = images * candidate.p50_ms / 1000
    return (_MEASURING * candidate.measuring_seconds + timing + scoring) * len(settings.precisions)


def affordable(
    found: Sequence[Candidate], settings: ComparisonSettings, journal: Journal
) -> tuple[list[Candidate], dict[str, str]]:
    """Those whose measuring leaves half of the time for training, and of the others, by architecture, why not.

    Those that cost most, an epoch and the measuring together, are left out first; a second call of the same comparison
    decides as the first one did.
    """
    kept: list[str] | None = journal.done(_KEY)
    if kept is None:
        time = settings.budget_seconds - journal.spent
        cheapest = sorted(found, key=lambda one: _cost(one, settings))
        while len(cheapest) > 1 and sum(measuring_seconds(one, settings) for one in cheapest) > _MOST * time:
            cheapest.pop()
        kept = [one.architecture for one in cheapest]
        journal.keep(_KEY, kept)
    left_out = {
        one.architecture: f"one epoch and its measurement take about {_cost(one, settings):.0f} s, for which the "
        f"budget of {settings.budget_seconds:.0f} s has no time after the others; use a larger --budget"
        for one in found
        if one.architecture not in kept
    }
    return [one for one in found if one.architecture in kept], left_out


def _cost(candidate: Candidate, settings: ComparisonSettings) -> float:
    return candidate.start_seconds + candidate.epoch_seconds + measuring_seconds(candidate, settings)
