"""The plot of a claim: test accuracy of every run, mean with interval, and reported value.

Where the claim asks for it, every run's loss over its epochs as well.
"""

from typing import TYPE_CHECKING, Any

from vision_zoo.core.statistics import mean_interval
from vision_zoo.experiments.report.claims.claims import Claim
from vision_zoo.experiments.report.claims.evidence import Measured
from vision_zoo.recipes import find_recipe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_RUN, _REPORTED = "#0072B2", "#D55E00"
_COLOURS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def draw(claim: Claim, measured: dict[str, Measured]) -> "Figure":
    """A line per recipe, those that decide nothing below the others in grey."""
    from matplotlib.figure import Figure

    height = 0.42 * (len(claim.recipes) + len(claim.others)) + 1.3
    if not claim.losses:
        figure = Figure(figsize=(8.5, height), layout="constrained")
        _draw_accuracies(figure.subplots(), claim, measured)
        return figure
    figure = Figure(figsize=(8.5, height + 3), layout="constrained")
    above, below = figure.subplots(2, height_ratios=(height, 3))
    _draw_accuracies(above, claim, measured)
    _draw_losses(below, [measured[name] for name in claim.recipes if name in measured])
    return figure


def _draw_losses(axes: "Axes", recipes: list[Measured]) -> None:
    """On the training images, a line a run."""
    for colour, measured in zip(_COLOURS, recipes, strict=False):
        for run in measured.runs:
            epochs = [record.epoch for record in run.history]
            losses = [record.train_loss for record in run.history]
            axes.plot(epochs, losses, ".-", color=colour, label=measured.recipe.name)
    axes.set_xlabel("epoch")
    axes.set_ylabel("training loss of every run")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    _explain(axes)


def _draw_accuracies(axes: "Axes", claim: Claim, measured: dict[str, Measured]) -> None:
    from matplotlib.ticker import PercentFormatter

    names = [*claim.recipes, *claim.others]
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
            ends = [interval.clipped().low, interval.clipped().high]
            axes.plot(ends, [place, place], "-", color=_RUN, label="mean, 95 % over seeds")
        axes.plot(found.mean, place, "|", color=_RUN, markersize=16, markeredgewidth=2)
    axes.set_yticks(range(len(names)), names)
    for label in axes.get_yticklabels()[len(claim.recipes) :]:
        label.set_color("#666666")
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.margins(x=0.06)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel("test accuracy")
    axes.grid(alpha=0.3, axis="x")
    _explain(axes, ncols=3, loc="lower right", bbox_to_anchor=(1, 1), frameon=False)


def _explain(axes: "Axes", **placed: Any) -> None:
    """A legend that names each thing once, however often it is drawn."""
    handles, labels = axes.get_legend_handles_labels()
    shown = dict(zip(labels, handles, strict=True))
    axes.legend(shown.values(), shown.keys(), fontsize=8, **placed)
