"""`train`: train a recipe into a run directory."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vision_zoo.cli.document import print_json
from vision_zoo.cli.options import DataDir, Device, Json, print_classes
from vision_zoo.core.errors import UsageError
from vision_zoo.core.tables import counted

if TYPE_CHECKING:
    from vision_zoo.recipes.recipe import Recipe


def train(
    recipe: Annotated[
        str | None, typer.Argument(help="Name from `vision-zoo list recipes`, or a .toml file.")
    ] = None,
    architecture: Annotated[
        str | None,
        typer.Option(
            help="Architecture, or torchvision:NETWORK, together with --dataset instead of a recipe."
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Dataset or folder:PATH, together with --architecture. With --resume: where a moved folder is now."
        ),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(help="Side of the images in pixels, 4 to 1024, for folder:PATH. Default: 64."),
    ] = None,
    pretrained: Annotated[
        Path | None,
        typer.Option(
            help="File of pretrained weights (safetensors or .pth). Default: searched in the data folders."
        ),
    ] = None,
    transfer: Annotated[
        Path | None, typer.Option(help="Run whose feature layers are copied and frozen.")
    ] = None,
    distil: Annotated[
        Path | None, typer.Option(help="Finished run on the same data to learn from: the teacher.")
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(help="Number of cross-validation folds of folder:PATH, 2 to 20; one run each."),
    ] = None,
    device: Device = "auto",
    data_dir: DataDir = None,
    out: Annotated[Path | None, typer.Option(help="Run directory to create. Default: runs/<recipe>.")] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Run directory to continue, with its own settings; --epochs may be higher."),
    ] = None,
    as_json: Json = False,
    **settings: Any,
) -> None:
    """Train a network and write a run directory."""
    from vision_zoo import api

    if resume is not None:
        epochs = settings.pop("epochs")
        _refuse_beside_resume(
            recipe=recipe,
            architecture=architecture,
            out=out,
            image_size=image_size,
            pretrained=pretrained,
            transfer=transfer,
            distil=distil,
            folds=folds,
            **settings,
        )
        run = api.resume(resume, epochs=epochs, dataset=dataset, device=device, data_dir=data_dir)
    elif folds is not None:
        if distil is not None:
            raise UsageError(
                "--folds cannot be combined with --distil: the teacher was trained on images that some folds test "
                "on; omit one of them"
            )
        from vision_zoo.api.runs import chosen_recipe

        chosen = chosen_recipe(
            recipe,
            architecture,
            dataset,
            image_size=image_size,
            transfer=transfer,
            teacher=None,
            changes=settings,
        )
        _cross_validate(
            chosen,
            folds,
            out,
            as_json=as_json,
            device=device,
            data_dir=data_dir,
            pretrained=pretrained,
            transfer=transfer,
        )
        return
    else:
        run = api.train(
            recipe,
            architecture=architecture,
            dataset=dataset,
            image_size=image_size,
            pretrained=pretrained,
            transfer=transfer,
            distil=distil,
            device=device,
            data_dir=data_dir,
            out=out,
            **settings,
        )
    from vision_zoo.training.distributed import is_main_process

    if not is_main_process():
        return
    if as_json:
        print_json(
            {
                "run": str(run.path),
                "test_accuracy": run.accuracy,
                "train_seconds": run.seconds,
                "epochs": run.epochs,
                "top_5_accuracy": run.top_5_accuracy,
                "classes": [asdict(one) for one in run.classes],
            }
        )
        return
    print(f"{run.path}: {run.accuracy:.2%} test accuracy after {counted(run.epochs, 'epoch')}")
    print_classes(run.classes, run.top_5_accuracy)
    if (run.path / "report.html").is_file():
        print(f"report: {run.path / 'report.html'}")
    print(f"next: {_export_command(run.path, run.recipe)}")


def _cross_validate(recipe: "Recipe", folds: int, out: Path | None, *, as_json: bool, **origins: Any) -> None:
    from vision_zoo.core.class_metrics import class_heading
    from vision_zoo.core.progress import progress_on_stderr
    from vision_zoo.core.tables import render
    from vision_zoo.experiments.cross_validation import cross_validate, folds_table

    with progress_on_stderr() as progress:
        path, found = cross_validate(recipe, folds, out, progress=progress, **origins)
    if as_json:
        print_json(found)
        return
    low, high = found.accuracy_interval
    print(
        f"{path}: {found.mean_accuracy:.2%} test accuracy, the mean of {folds} folds "
        f"(95 % interval {low:.2%} to {high:.2%})"
    )
    print(f"\n{class_heading(found.classes)}:")
    print(render(folds_table(found.classes), "table"))


def _export_command(run: Path, recipe: str) -> str:
    command = f"vision-zoo export {shlex.quote(str(run))}"
    # The shipped model of that name should be replaced on purpose, not by following a hint.
    return f"{command} --output-dir models" if (Path("exported") / f"{recipe}.onnx").exists() else command


def _refuse_beside_resume(**given: Any) -> None:
    from vision_zoo.recipes.options import option_name

    unwanted = [
        "the recipe" if name == "recipe" else f"--{option_name(name)}"
        for name, value in given.items()
        if value is not None
    ]
    if unwanted:
        raise UsageError(
            f"--resume continues a run with its own settings; only --epochs may differ: omit {', '.join(unwanted)}"
        )
