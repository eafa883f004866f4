"""Figures that stand in a sentence."""

from collections import Counter
from pathlib import Path

from scripts.figures.sources import Results
from vision_zoo.core.environment import hardware
from vision_zoo.experiments import report
from vision_zoo.recipes import RECIPES
from vision_zoo.recipes.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]


def reproduction_sentence(_results: Results) -> str:
    """How many of the published experiments were run, and what came of them."""
    verdicts = Counter(
        row["verdict"] for row in report.measured(ROOT / "results", [recipe.name for recipe in _published()])
    )
    total = len(_published())
    run = sum(verdicts[name] for name in ("holds", "above the report", "falls short"))
    return (
        f"Of the {total} published experiments {run} were repeated: {verdicts['holds']} hold, "
        f"{verdicts['above the report']} came out above their report, {verdicts['falls short']} fall short. "
        "[docs/RESULTS.md](docs/RESULTS.md) sets every figure beside its report's."
    )


def quickstart_sentence(results: Results) -> str:
    """How long the quickstart took and what it reached."""
    sentences = [
        f"Measured once on {hardware(document['environment'])}: {document['seconds']:.0f} s in all, "
        f"{document['test_accuracy']:.1%} of {document['images']:,} test images."
        for path, document in results.items()
        if path.endswith("/quickstart.json")
    ]
    return "\n".join(sentences)


def _published() -> list[Recipe]:
    return [recipe for recipe in RECIPES.values() if recipe.report is not None]
