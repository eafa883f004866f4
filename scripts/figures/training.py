"""Speed of the training engine, compared with other loops."""

import statistics
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from benchmarks.goals import ratios, step_over_floor
from scripts.figures.sources import Results, environment_of, hardware, of_kind, read_as, versions
from vision_zoo.benchmark.pictures import MARKERS, PALETTE, logarithmic, svg
from vision_zoo.core.results import RecipeResult, SeedResult
from vision_zoo.core.tables import counted, markdown
from vision_zoo.experiments.report.figures import first_reaching
from vision_zoo.recipes import RECIPES

_LOOPS = {
    "course loop": "course",
    "tuned loop": "tuned",
    "resident data": "resident",
    "Lightning": "lightning",
    "timm": "timm",
}


def picture(results: Results) -> str:
    """Plot the time of every loop relative to the engine, one line per recipe, and the floor, as SVG."""
    (document, *_) = of_kind(results, "training")
    recipes = document["recipes"]
    figure = Figure(figsize=(8.5, 0.34 * len(recipes) + 1.6), layout="constrained")
    axes = figure.subplots()
    for index, (label, runner) in enumerate(_LOOPS.items()):
        found = [(place, _multiple(recipe, runner)) for place, recipe in enumerate(recipes.values())]
        points = [(multiple, place) for place, multiple in found if multiple is not None]
        multiples, places = [point[0] for point in points], [point[1] for point in points]
        axes.plot(multiples, places, MARKERS[index], color=PALETTE[index], markersize=7, label=label)
    floors = [1 / recipe["engine_over_floor"] for recipe in recipes.values()]
    axes.plot(floors, range(len(recipes)), "|", color="black", markersize=12, label="floor")
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_yticks(range(len(recipes)), list(recipes))
    axes.invert_yaxis()
    logarithmic(axes, "x")
    axes.set_xlabel("time as a multiple of the engine's")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.set_title(f"Training the same network, {hardware(document)}", fontsize=10)
    return svg(figure, seed="training", text_as_paths=True)


def beside_others(results: Results) -> str:
    """The time of training beside busy loops relative to the time alone."""
    parts = []
    for document in of_kind(results, "training_beside_others"):
        rows = []
        for name, seconds in document["seconds"].items():
            rows.append(
                {
                    "architecture": f"`{name}`",
                    "alone, s": f"{statistics.median(seconds['alone']):.2f}",
                    "beside, s": f"{statistics.median(seconds['beside']):.2f}",
                    "ratio": _spread(ratios(seconds, "beside", "alone")),
                }
            )
        rounds = len(next(iter(document["seconds"].values()))["alone"])
        how = (
            f"Seconds of training of `vision-zoo train` on mnist-5k, alone and beside {document['loops']} busy loops in "
            f"turn, where a fair share of the cores makes it take twice as long: medians of {rounds} rounds on "
            f"{hardware(document)}, with {versions(environment_of(document))}."
        )
        parts += [markdown(rows), how]
    return "\n\n".join(parts) or "Not measured yet."


def step_profile(results: Results) -> str:
    """What steps spend their time on, and how long their products take relative to the floor."""
    parts = []
    for document in of_kind(results, "training_profile"):
        rows = []
        for name, measured in document["recipes"].items():
            step, floor = (statistics.median(measured[key]) for key in ("step_ms", "floor_ms"))
            shares = dict(measured["shares"])
            products = shares["convolution"] + shares["matrix product"]
            rows.append(
                {
                    "recipe": f"`{name}`",
                    "step, ms": f"{step:.1f}",
                    "floor, ms": f"{floor:.1f}",
                    "step over floor": f"{step / floor:.1f}x",
                    "products over floor": f"{products * step / floor:.1f}x",
                    **{kind: f"{part:.0%}" for kind, part in shares.items()},
                }
            )
        how = (
            f"Steps of the engine on {hardware(document)}, "
            f"{counted(document['environment']['threads'], 'thread')}, with {versions(environment_of(document))}: "
            f"medians of {document['rounds']} rounds. Shares are of the time that torch's profiler counts. *Products "
            "over floor*: the time of convolutions and matrix products alone, at their share of the step, over the "
            "recipe's arithmetic at the speed of a large matrix product."
        )
        parts += [markdown(rows), how]
    return "\n\n".join(parts) or "Not measured yet."


def _spread(found: Sequence[float]) -> str:
    """Median and range of the rounds' ratios."""
    return f"{statistics.median(found):.2f}x ({min(found):.2f} to {max(found):.2f})"


def _where(document: dict[str, Any]) -> str:
    return (
        f", on {hardware(document)}, {counted(document['environment']['threads'], 'thread')}, "
        f"with {versions(environment_of(document))}: medians of {document['rounds']} rounds."
    )


def precision(results: Results) -> str:
    """What bfloat16 gains in a training step, and in a large matrix product."""
    parts = []
    for document in of_kind(results, "training_precision"):
        rows = []
        for name, measured in document["recipes"].items():
            steps, rates = measured["step_ms"], measured["matrix_gflops"]
            rows.append(
                {
                    "recipe": f"`{name}`",
                    "batch": measured["batch_size"],
                    "fp32, ms": f"{statistics.median(steps['fp32']):.1f}",
                    "bf16, ms": f"{statistics.median(steps['bf16']):.1f}",
                    "gain": _spread(ratios(steps, "fp32", "bf16")),
                    "gain of a matrix product": f"{statistics.median(ratios(rates, 'bf16', 'fp32')):.2f}x",
                }
            )
        parts += [markdown(rows), f"Steps in both precisions, in turn{_where(document)}"]
    return "\n\n".join(parts) or "Not measured yet."


def speedups(results: Results) -> str:
    """How much faster steps are for each speed-up."""
    parts = []
    for document in of_kind(results, "training_speedups"):
        rows = []
        for name, measured in document["recipes"].items():
            steps = measured["step_ms"]
            rows.append(
                {
                    "speed-up": measured["speedup"],
                    "recipe": f"`{name}`",
                    "precision": measured["precision"],
                    "without, ms": f"{statistics.median(steps['without']):.1f}",
                    "with, ms": f"{statistics.median(steps['with']):.1f}",
                    "gain": _spread(ratios(steps, "without", "with")),
                }
            )
        parts += [markdown(rows), f"Steps with and without, in turn{_where(document)}"]
    return "\n\n".join(parts) or "Not measured yet."


def table(results: Results) -> str:
    """Speed of the engine and of the other loops, one row per recipe."""
    parts = []
    runs = {
        (document.environment.folder_name, document.recipe): document.runs
        for document in read_as(results, "recipe", RecipeResult)
        if _is_current(document)
    }
    for path, document in results.items():
        if document.get("kind") != "training":
            continue
        folder = path.rpartition("/")[0]
        rows = [
            _training_row(name, measured, runs.get((folder, name), []))
            for name, measured in document["recipes"].items()
        ]
        loops = ", ".join(f"{name} {version}" for name, version in document["environment"]["loops"].items())
        how = (
            f"Medians of {document['rounds']} rounds on {hardware(document)}, "
            f"{document['environment']['threads']} threads, each loop in its own process, alternately, with "
            f"{versions(environment_of(document))}, {loops}. The columns of other loops show their time relative to the "
            "engine. *Floor*: the recipe's arithmetic at the speed of a large matrix product, measured in the same "
            "rounds. ¹ The engine computes frozen features once, the other loops in every epoch. *Time to "
            "report*: estimated seconds to the reported accuracy, with the engine and with the course loop, at the speed "
            "measured here: the mean number of steps after which runs of this machine in docs/RESULTS.md first reach "
            "it, without those that never do."
        )
        parts += [markdown(rows), how]
    return "\n\n".join(parts)


def _is_current(document: RecipeResult) -> bool:
    recipe = RECIPES.get(document.recipe)
    return recipe is not None and recipe.has_settings(document.settings)


def _training_row(name: str, measured: dict[str, Any], runs: Sequence[SeedResult]) -> dict[str, Any]:
    return {
        "recipe": f"`{name}`{' ¹' if measured['frozen_features'] else ''}",
        "images per second": f"{measured['arms']['engine']['images_per_second']:,.0f}",
        **{label: _times(_multiple(measured, runner)) for label, runner in _LOOPS.items()},
        "engine over floor": f"{measured['engine_over_floor']:.1f}x",
        "goal": "–" if (limit := step_over_floor(name, measured)) is None else f"{limit:g}x",
        "time to report": _to_the_report(name, measured, runs),
    }


def _to_the_report(name: str, measured: dict[str, Any], runs: Sequence[SeedResult]) -> str | None:
    """Seconds of the engine and of the course's loop; None if no run's curve reaches the reported accuracy."""
    recipe = RECIPES.get(name)
    if recipe is None or recipe.frozen or "test_accuracy" not in recipe.reported:
        return None
    found = [first_reaching(run, recipe.reported["test_accuracy"]) for run in runs]
    steps = [record.steps for record in found if record is not None]
    if not steps:
        return None
    seen = statistics.fmean(steps) * recipe.batch_size
    engine, course = (seen / measured["arms"][runner]["images_per_second"] for runner in ("engine", "course"))
    return f"{engine:,.0f} / {course:,.0f} s"


def _multiple(measured: dict[str, Any], runner: str) -> float | None:
    """The runner's time over the engine's; None if it was not measured."""
    runners = measured["arms"]
    found = next((entry["seconds"] for name, entry in runners.items() if name.startswith(runner)), None)
    return None if found is None else float(found / runners["engine"]["seconds"])


def _times(multiple: float | None) -> str:
    return "–" if multiple is None else f"{multiple:.1f}x"
