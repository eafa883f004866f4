"""`train`: a recipe becomes a run directory."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from vision_zoo.cli.document import print_json
from vision_zoo.cli.options import DataDir, Device, Json
from vision_zoo.core.choices import Arithmetic, Optimizer
from vision_zoo.core.errors import UsageError


def train(
    recipe: Annotated[
        str | None, typer.Argument(help="A name from `vision-zoo list recipes`, or a .toml file.")
    ] = None,
    architecture: Annotated[str | None, typer.Option(help="Instead of a recipe, with --dataset.")] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Instead of a recipe, with --architecture; or folder:PATH. With --resume, where the folder is now."
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training split.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after this many epochs without a lower validation loss.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the initial weights, the split and the order.")] = None,
    optimizer: Annotated[Optimizer | None, typer.Option(help="Instead of the recipe's.")] = None,
    precision: Annotated[
        Arithmetic | None, typer.Option(help="What training steps compute in; tf32 is for NVIDIA GPUs.")
    ] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Of the optimizer.")] = None,
    max_steps: Annotated[int | None, typer.Option(help="Stop after this many optimizer steps.")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Stop after this much training.")] = None,
    image_size: Annotated[
        int | None,
        typer.Option(help="Pixels a side, 4 to 1024, for --dataset folder:PATH (64 without it)."),
    ] = None,
    pretrained: Annotated[
        Path | None, typer.Option(help="Published weights as safetensors, instead of looking for them.")
    ] = None,
    transfer: Annotated[
        Path | None, typer.Option(help="Run that gives the feature layers' weights, which are then frozen.")
    ] = None,
    device: Device = "auto",
    data_dir: DataDir = None,
    out: Annotated[
        Path | None, typer.Option(help="Run directory to create; runs/<recipe> by default.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Continue this run; needs nothing else.")] = None,
    as_json: Json = False,
) -> None:
    """Train a recipe into a run directory."""
    overrides: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": lr,
        "patience": patience,
        "seed": seed,
        "optimizer": optimizer,
        "precision": precision,
        "weight_decay": weight_decay,
        "max_steps": max_steps,
        "max_minutes": max_minutes,
    }
    from vision_zoo import api

    if resume is not None:
        _refuse_beside_resume(
            recipe=recipe,
            architecture=architecture,
            out=out,
            image_size=image_size,
            pretrained=pretrained,
            transfer=transfer,
            **overrides,
        )
        run = api.resume(resume, dataset=dataset, device=device, data_dir=data_dir)
    else:
        run = api.train(
            recipe,
            architecture=architecture,
            dataset=dataset,
            image_size=image_size,
            pretrained=pretrained,
            transfer=transfer,
            device=device,
            data_dir=data_dir,
            out=out,
            **overrides,
        )
    from vision_zoo.training.distributed import speaks

    if not speaks():
        return
    if as_json:
        print_json(
            {
                "run": str(run.path),
                "test_accuracy": run.accuracy,
                "train_seconds": run.seconds,
                "epochs": run.epochs,
            }
        )
        return
    print(f"{run.path}: {run.accuracy:.2%} of the test images are right; {run.epochs} epochs trained")
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
