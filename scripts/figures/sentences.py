"""Generated sentences."""

from collections import Counter
from pathlib import Path

from scripts.figures.sources import Results, hardware
from vision_zoo.experiments import report
from vision_zoo.experiments.report.verdicts import ABOVE, FALLS_SHORT, HOLDS, UNKNOWN
from vision_zoo.recipes import RECIPES
from vision_zoo.recipes.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]


def reproduction_sentence(_results: Results) -> str:
    """Count the published experiments that were repeated, by verdict, and those that a variant reproduces."""
    rows = report.measured(ROOT / "results", list(RECIPES))
    found = {row["recipe"]: row["verdict"] for row in rows if row["runs"]}
    published = [recipe.name for recipe in _published()]
    verdicts = Counter(found[name] for name in published if name in found)
    reached = {
        RECIPES[name].companion_of or name for name, verdict in found.items() if verdict in (HOLDS, ABOVE)
    }
    return (
        f"{verdicts.total()} of {len(published)} published experiments were repeated. By an equivalence test, "
        f"{verdicts[HOLDS]} reproduced the reported accuracy, {verdicts[ABOVE]} exceeded it and {verdicts[FALLS_SHORT]} "
        f"fell short of it; for {verdicts[UNKNOWN]}, more runs are needed. With the variants that the reports' figures "
        f"suggest, {len(reached.intersection(published))} reach it. [docs/RESULTS.md](docs/RESULTS.md) compares "
        "every result with its report, and [docs/CLAIMS.md](docs/CLAIMS.md) states a verdict on every claim."
    )


def quickstart_sentence(results: Results) -> str:
    """State the time and the accuracy of the quickstart."""
    sentences = [
        f"One run on {hardware(document)} took {document['seconds']:.0f} s and reached "
        f"{document['test_accuracy']:.1%} accuracy on {document['images']:,} test images."
        for path, document in results.items()
        if path.endswith("/quickstart.json")
    ]
    return "\n".join(sentences)


def _published() -> list[Recipe]:
    return [recipe for recipe in RECIPES.values() if recipe.report is not None]
