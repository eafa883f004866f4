"""Accuracy and training cost of the modern recipes."""

import statistics

from scripts.figures.sources import Results, read_as
from vision_zoo.core.results import RecipeResult
from vision_zoo.core.tables import markdown
from vision_zoo.experiments.report.figures import spread
from vision_zoo.recipes import airbench


def table(results: Results) -> str:
    """Accuracy, size and training time of the modern recipes."""
    recipes = [recipe.name for recipe in airbench.RECIPES]
    documents = [
        document for document in read_as(results, "recipe", RecipeResult) if document.recipe in recipes
    ]
    rows = [
        {
            "recipe": f"`{document.recipe}`",
            "test accuracy": spread([run.test_accuracy for run in document.runs]),
            "runs": len(document.runs),
            "parameters": f"{document.parameters:,}",
            "epochs": document.settings["epochs"],
            "precision": document.settings.get("precision", "fp32"),
            "minutes": _mean_minutes([run.train_seconds for run in document.runs]),
            "core-minutes": _mean_minutes([run.cpu_seconds for run in document.runs]),
            "data": document.data.variant,
        }
        for document in sorted(documents, key=lambda document: recipes.index(document.recipe))
        if document.runs
    ]
    where = ", ".join(dict.fromkeys(document.environment.description for document in documents))
    how = (
        f"Accuracy on the whole test split with the weights of the last epoch. Time per run on {where}, which also did "
        "other work: core-minutes are CPU time, minutes are elapsed time. Compare times within one precision only: runs "
        "in bf16 are of a processor that computes in it."
    )
    return f"{markdown(rows)}\n\n{how}"


def _mean_minutes(seconds: list[float]) -> str:
    return f"{statistics.fmean(seconds) / 60:.0f}"
