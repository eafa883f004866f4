"""Accuracy and training cost of the modern recipes."""

import statistics
from typing import Any

from scripts.figures.sources import Results, of_kind
from vision_zoo.core.environment import hardware
from vision_zoo.core.tables import markdown
from vision_zoo.experiments.report.figures import spread
from vision_zoo.recipes import airbench


def table(results: Results) -> str:
    """Accuracy, size and training time of the modern recipes."""
    recipes = [recipe.name for recipe in airbench.RECIPES]
    documents = [document for document in of_kind(results, "recipe") if document["recipe"] in recipes]
    rows = [
        {
            "recipe": f"`{document['recipe']}`",
            "test accuracy": spread([run["test_accuracy"] for run in document["runs"]]),
            "runs": len(document["runs"]),
            "parameters": f"{document['parameters']:,}",
            "epochs": document["settings"]["epochs"],
            "minutes": _mean_minutes(document, "train_seconds"),
            "core-minutes": _mean_minutes(document, "cpu_seconds"),
            "data": document["data"]["variant"],
        }
        for document in sorted(documents, key=lambda document: recipes.index(document["recipe"]))
        if document["runs"]
    ]
    where = ", ".join(dict.fromkeys(hardware(document["environment"]) for document in documents))
    how = (
        f"Accuracy on the whole test split with the weights of the last epoch. Time per run on {where}, shared with "
        "other work: core-minutes are CPU time, minutes are elapsed time."
    )
    return f"{markdown(rows)}\n\n{how}"


def _mean_minutes(document: dict[str, Any], measure: str) -> str:
    return f"{statistics.fmean(run[measure] for run in document['runs']) / 60:.0f}"
