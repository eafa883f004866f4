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
    """Count the published experiments that were repeated, by verdict; of several environments, the most runs."""
    rows = sorted(
        report.measured(ROOT / "results", [recipe.name for recipe in _published()]),
        key=lambda row: row["runs"],
    )
    verdicts = Counter({row["recipe"]: row["verdict"] for row in rows if row["runs"]}.values())
    return (
        f"{verdicts.total()} of {len(_published())} published experiments were repeated. By an equivalence test, "
        f"{verdicts[HOLDS]} reproduced the reported accuracy, {verdicts[ABOVE]} exceeded it and {verdicts[FALLS_SHORT]} "
        f"fell short of it; for {verdicts[UNKNOWN]}, more runs are needed. [docs/RESULTS.md](docs/RESULTS.md) compares "
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
