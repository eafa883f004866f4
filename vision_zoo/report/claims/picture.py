"""A claim's picture: the test accuracy of every run, the mean with its interval, and what was reported."""

from typing import TYPE_CHECKING

from vision_zoo.report.claims.claims import Claim
from vision_zoo.report.claims.evidence import Measured
from vision_zoo.significance import mean_interval
from vision_zoo.training.recipes import find_recipe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RUN, _REPORTED = "#0072B2", "#D55E00"


def draw(claim: Claim, measured: dict[str, Measured]) -> "Figure":
    """A line a recipe, those that decide nothing below the others in grey."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    names = [*claim.recipes, *claim.others]
    figure = Figure(figsize=(8.5, 0.42 * len(names) + 1.3), layout="constrained")
    axes = figure.subplots()
    for place, name in enumerate(names):
        recipe, found = find_recipe(name), measured.get(name)
        reported = recipe.reported.get("test_accuracy")
        if reported is not None:
            axes.plot(reported, place, "D", color=_REPORTED, markersize=8, fillstyle="none", label="reported")
        if found is None:
            axes.annotate(
                "not run yet", (0.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=8
            )
            continue
        values = list(found.accuracies.values())
        axes.plot(values, [place] * len(values), "o", color=_RUN, alpha=0.6, label="a run")
        interval = mean_interval(values)
        if interval is not None:
            axes.plot(
                [interval.low, min(1.0, interval.high)],
                [place, place],
                "-",
                color=_RUN,
                label="mean, 95 % over seeds",
            )
        axes.plot(found.mean, place, "|", color=_RUN, markersize=16, markeredgewidth=2)
    axes.set_yticks(range(len(names)), names)
    for label in axes.get_yticklabels()[len(claim.recipes) :]:
        label.set_color("#666666")
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.margins(x=0.06)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel("test accuracy")
    axes.grid(alpha=0.3, axis="x")
    handles, labels = axes.get_legend_handles_labels()
    shown = dict(zip(labels, handles, strict=True))
    figure.legend(shown.values(), shown.keys(), fontsize=8, loc="outside upper right", ncols=3)
    return figure
