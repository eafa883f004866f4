"""Commands of the training half: train, export, reproduce."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from vision_zoo.cli.options import DataDir, Device, Json, device_name, print_json
from vision_zoo.errors import UsageError


def train(
    recipe: Annotated[str | None, typer.Argument(help="A name from `vision-zoo list recipes`.")] = None,
    architecture: Annotated[str | None, typer.Option(help="Instead of a recipe, with --dataset.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Instead of a recipe, with --architecture.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training split.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after this many epochs without a lower validation loss.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the initial weights, the split and the order.")] = None,
    device: Device = "auto",
    data_dir: DataDir = None,
    out: Annotated[
        Path | None, typer.Option(help="Run directory to create; runs/<recipe> by default.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Continue this run; needs nothing else.")] = None,
    as_json: Json = False,
) -> None:
    """Train a recipe into a run directory."""
    overrides = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": lr,
        "patience": patience,
        "seed": seed,
    }
    chosen_device = device_name(device)
    if resume is not None:
        _refuse_beside_resume(recipe=recipe, architecture=architecture, dataset=dataset, out=out, **overrides)
    from vision_zoo.progress import progress_on_stderr

    if resume is None:
        from vision_zoo.training.recipes import find_recipe, recipe_for

        if recipe is not None and architecture is None and dataset is None:
            chosen = find_recipe(recipe)
        elif recipe is None and architecture is not None and dataset is not None:
            chosen = recipe_for(architecture, dataset)
        else:
            raise UsageError(
                "train takes a recipe, or --architecture and --dataset together; `vision-zoo list recipes` lists recipes"
            )
        chosen = chosen.override(**overrides)
    from vision_zoo.training import train as training

    with progress_on_stderr() as progress:
        if resume is not None:
            run = training.resume(resume, device=chosen_device, data_dir=data_dir, progress=progress)
        else:
            path = out or training.default_path(chosen)
            run = training.start(chosen, path, device=chosen_device, data_dir=data_dir, progress=progress)
    if as_json:
        print_json(
            {
                "run": str(run.path),
                "test_accuracy": run.test_accuracy,
                "train_seconds": run.train_seconds,
                "epochs": run.epochs,
            }
        )
        return
    print(f"{run.path}: {run.test_accuracy:.2%} of the test images are right; {run.epochs} epochs trained")
    print(f"next: {_export_command(run.path, run.recipe)}")


def _export_command(run: Path, recipe: str) -> str:
    command = f"vision-zoo export {shlex.quote(str(run))} --onnx"
    # The shipped model of that name should be replaced on purpose, not by following a hint.
    return f"{command} --output-dir models" if (Path("exported") / f"{recipe}.onnx").exists() else command


def _refuse_beside_resume(**given: Any) -> None:
    unwanted = [f"--{name.replace('_', '-')}" for name, value in given.items() if value is not None]
    if unwanted:
        raise UsageError(
            f"--resume continues a run with its own settings; leave out {', '.join(unwanted)}".replace(
                "--learning-rate", "--lr"
            ).replace("--recipe", "the recipe")
        )


def export(
    run: Annotated[Path, typer.Argument(help="A run directory.", show_default=False)],
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Write an ONNX file (the only format so far).")
    ] = False,
    output_dir: Annotated[Path, typer.Option(help="Folder for the model and its manifest.")] = Path(
        "exported"
    ),
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Write a run as one ONNX file, proved on its test split."""
    if not onnx:
        raise UsageError("export needs a format; pass --onnx")
    from vision_zoo.training.export import export_onnx

    print(f"exporting {run} and proving the file on every test image", file=sys.stderr)
    exported = export_onnx(run, output_dir, data_dir=data_dir)
    proof = exported.proof
    if as_json:
        print_json(
            {
                "model": str(exported.path),
                "argmax_agreement": proof.argmax_agreement,
                "max_logit_difference": proof.max_logit_difference,
                "test_accuracy": proof.accuracy,
                "checkpoint_accuracy": proof.checkpoint_accuracy,
                "images": proof.images,
            }
        )
        return
    print(
        f"{exported.path}{' (replaced)' if exported.replaced else ''}: {proof.argmax_agreement:.2%} of {proof.images:,} "
        f"predictions as the checkpoint's, largest logit difference {proof.max_logit_difference:.1e}, "
        f"accuracy {proof.accuracy:.2%}"
    )


def reproduce(
    recipes: Annotated[
        list[str], typer.Argument(help="Names from `vision-zoo list recipes`.", show_default=False)
    ],
    models_dir: Annotated[Path, typer.Option(help="Folder for the exported models.")] = Path("exported"),
    results_dir: Annotated[Path, typer.Option(help="Folder for the figures.")] = Path("results"),
    device: Device = "auto",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Repeat experiments and keep their figures in results/."""
    chosen_device = device_name(device)
    from vision_zoo.training.recipes import find_recipe

    chosen = [find_recipe(name) for name in recipes]
    from vision_zoo.progress import progress_on_stderr
    from vision_zoo.reproduce import reproduce as reproduce_recipe

    paths: list[str] = []
    with progress_on_stderr() as progress:
        for recipe in chosen:
            path = reproduce_recipe(
                recipe,
                models_dir=models_dir,
                results_dir=results_dir,
                device=chosen_device,
                data_dir=data_dir,
                progress=progress,
            )
            paths.append(str(path))
    if as_json:
        print_json(
            [{"recipe": entry.name, "results": path} for entry, path in zip(chosen, paths, strict=True)]
        )
    else:
        print("\n".join(paths))
