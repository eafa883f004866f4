"""Generated sentences."""

from collections import Counter
from pathlib import Path

from scripts.figures.sources import Results, hardware
from vision_zoo.experiments import report
from vision_zoo.recipes import RECIPES
from vision_zoo.recipes.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]


def reproduction_sentence(_results: Results) -> str:
    """Count the published experiments that were repeated, by verdict."""
    verdicts = Counter(
        row["verdict"] for row in report.measured(ROOT / "results", [recipe.name for recipe in _published()])
    )
    total = len(_published())
    run = sum(verdicts[name] for name in ("holds", "above the report", "falls short"))
    return (
        f"{run} of {total} published experiments were repeated: {verdicts['holds']} reproduced the reported accuracy, "
        f"{verdicts['above the report']} exceeded it, and {verdicts['falls short']} fell short. "
        "[docs/RESULTS.md](docs/RESULTS.md) compares every result with its report."
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
