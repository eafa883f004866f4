"""`docs/CLAIMS.md`: every claim with its verdict, its reasons, the evidence and a plot."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vision_zoo.core.statistics import (
    CONFIDENCE,
    SIGNIFICANT,
    accuracy_interval,
    mean_interval,
    shown_p_value,
)
from vision_zoo.core.tables import markdown
from vision_zoo.experiments.report.claims.claims import CLAIMS, Claim, Finding
from vision_zoo.experiments.report.claims.evidence import Comparison, Measured, compare, gather
from vision_zoo.experiments.report.figures import headline
from vision_zoo.recipes import find_recipe
from vision_zoo.recipes.recipe import Recipe

_INTRODUCTION = f"""# Claims of the reports

This file is generated from `results/` by `make docs`. None of the reports repeats a run or gives an interval. The verdict
on a claim is *holds* or *does not hold* only if the measurements show a difference; otherwise it is *inconclusive*. Two
sources of variation are treated separately:

- **Seeds.** Student's confidence interval of the mean over runs, and Welch's test over seeds.
- **Test images.** Wilson's interval of the accuracy, and McNemar's exact test of two runs (seed 0) on the same images,
  with Holm's correction for the comparisons of the claim.

A difference is *shown* if every applicable test gives p < {SIGNIFICANT:g}. Intervals have {CONFIDENCE:.0%}
confidence. A single run says nothing about the variation of its recipe; the tables state the number of runs."""


def evidence_of(claim: Claim, measured: dict[str, Measured]) -> tuple[list[Comparison], Finding]:
    """Compare the recipes of a claim and apply its rule; `inconclusive` if something was not run."""
    missing = [name for name in claim.recipes if name not in measured]
    known = [
        (measured[one], measured[other]) for one, other in claim.pairs if not {one, other} & set(missing)
    ]
    comparisons = compare(known)
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        return comparisons, Finding("inconclusive", (f"Not run yet: {names}.",))
    return comparisons, claim.rule({name: measured[name] for name in claim.recipes}, comparisons)


def text(results_dir: Path, pictures: str) -> str:
    """The page as Markdown; `pictures` is the folder of its pictures as seen from the page."""
    measured = gather(results_dir)
    found = [(claim, *evidence_of(claim, measured)) for claim in CLAIMS]
    summary = [
        {
            "report": claim.report,
            "claim": f"[{claim.text}](#{claim.name})",
            "verdict": f"**{finding.verdict}**",
        }
        for claim, _, finding in found
    ]
    parts = [_INTRODUCTION, markdown(summary)]
    for claim, comparisons, finding in found:
        parts += _section(claim, comparisons, finding, measured, pictures)
    return "\n\n".join(parts) + "\n"


def _section(
    claim: Claim,
    comparisons: Sequence[Comparison],
    finding: Finding,
    measured: dict[str, Measured],
    pictures: str,
) -> list[str]:
    recipes = [find_recipe(name) for name in (*claim.recipes, *claim.others)]
    rows = [_recipe_row(recipe, measured.get(recipe.name)) for recipe in recipes]
    parts = [
        f'<a id="{claim.name}"></a>\n\n## Report {claim.report}: “{claim.text}”',
        f"**{finding.verdict.capitalize()}.** {' '.join(finding.reasons)}",
        f"![{_caption(claim)}]({pictures}/{claim.name}.svg)",
        markdown(rows),
    ]
    if comparisons:
        parts.append(markdown([_comparison_row(comparison) for comparison in comparisons]))
    return parts


def _caption(claim: Claim) -> str:
    return "Test accuracy of every run" + (", and its training loss over the epochs" if claim.losses else "")


def _recipe_row(recipe: Recipe, measured: Measured | None) -> dict[str, Any]:
    measure = headline(recipe)
    reported = recipe.reported.get(measure)
    row: dict[str, Any] = {
        "recipe": f"`{recipe.name}`",
        "reported": None if reported is None else f"{reported:.2%}",
        "measured": "not run yet",
        "runs": 0,
        "over seeds": None,
        "over test images, seed 0": None,
        "train s": None,
        "p50 ms": None,
    }
    if measured is None:
        return row
    values = list(measured.accuracies.values())
    seeds = mean_interval(values)
    seeds = None if seeds is None else seeds.clipped()
    row |= {
        "measured": f"{statistics.fmean(values):.2%}",
        "runs": len(values),
        "over seeds": None if seeds is None else f"{seeds.low:.2%} to {seeds.high:.2%}",
        "train s": None if measured.train_seconds is None else f"{measured.train_seconds:,.0f}",
        "p50 ms": None if measured.latency_ms is None else f"{measured.latency_ms:.3f}",
    }
    if measured.predictions is not None and 0 in measured.predictions.by_seed:
        right = measured.predictions.right(0)
        images = accuracy_interval(int(right.sum()), len(right))
        row["over test images, seed 0"] = f"{images.low:.2%} to {images.high:.2%}"
    return row


def _comparison_row(comparison: Comparison) -> dict[str, Any]:
    images = comparison.images
    return {
        "first": f"`{comparison.first.recipe.name}`",
        "second": f"`{comparison.second.recipe.name}`",
        "points": f"{comparison.points:+.2f}",
        "p over seeds": "one run" if comparison.seeds_p is None else shown_p_value(comparison.seeds_p),
        "only first correct": None if images is None else images.only_first,
        "only second correct": None if images is None else images.only_second,
        "p over images, corrected": None
        if comparison.images_p is None
        else shown_p_value(comparison.images_p),
        "difference": "shown" if comparison.shown else "not shown",
    }
