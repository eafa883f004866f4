"""Commands of the training half: train, export, reproduce."""

import shlex
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

import typer

from vision_zoo.cli.options import DataDir, Device, Json, ModelsDir, device_name, print_json
from vision_zoo.errors import UsageError

Precision = Literal["fp32", "fp16", "int8"]


def train(
    recipe: Annotated[str | None, typer.Argument(help="A name from `vision-zoo list recipes`.")] = None,
    architecture: Annotated[str | None, typer.Option(help="Instead of a recipe, with --dataset.")] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Instead of a recipe, with --architecture; or folder:PATH.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training split.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after this many epochs without a lower validation loss.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the initial weights, the split and the order.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adam, adamw or sgd.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Of the optimizer.")] = None,
    max_steps: Annotated[int | None, typer.Option(help="Stop after this many optimizer steps.")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Stop after this much training.")] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Pixels a side, for --dataset folder:PATH (64 without it).")
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
    overrides = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": lr,
        "patience": patience,
        "seed": seed,
        "optimizer": optimizer,
        "weight_decay": weight_decay,
        "max_steps": max_steps,
        "max_minutes": max_minutes,
    }
    chosen_device = device_name(device)
    if resume is not None:
        _refuse_beside_resume(
            recipe=recipe,
            architecture=architecture,
            dataset=dataset,
            out=out,
            image_size=image_size,
            pretrained=pretrained,
            transfer=transfer,
            **overrides,
        )
    from vision_zoo.progress import progress_on_stderr

    if resume is None:
        from vision_zoo.training.recipes import find_recipe, recipe_for

        if recipe is not None and architecture is None and dataset is None:
            chosen = find_recipe(recipe).override(image_size=image_size)
        elif recipe is None and architecture is not None and dataset is not None:
            chosen = recipe_for(architecture, dataset, image_size=image_size)
        else:
            raise UsageError(
                "train takes a recipe, or --architecture and --dataset together; `vision-zoo list recipes` lists recipes"
            )
        chosen = chosen.override(**overrides)
        if transfer is not None and chosen.transfer_from is None:
            chosen = chosen.override(transfer_from=transfer.name, frozen=True)
    from vision_zoo.training import train as training

    with progress_on_stderr() as progress:
        if resume is not None:
            run = training.resume(resume, device=chosen_device, data_dir=data_dir, progress=progress)
        else:
            path = out or training.default_path(chosen)
            run = training.start(
                chosen,
                path,
                device=chosen_device,
                data_dir=data_dir,
                progress=progress,
                pretrained=pretrained,
                transfer=transfer,
            )
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
    run: Annotated[
        str,
        typer.Argument(metavar="RUN", help="A run directory; for --triton also a model.", show_default=False),
    ],
    onnx: Annotated[bool, typer.Option("--onnx", help="Write an ONNX file and its manifest.")] = False,
    triton: Annotated[
        Path | None, typer.Option(help="Add the model to a Triton model repository in this folder.")
    ] = None,
    output_dir: Annotated[Path, typer.Option(help="Folder for the model and its manifest.")] = Path(
        "exported"
    ),
    precision: Annotated[str, typer.Option(help="fp32, fp16 or int8: what the graph computes in.")] = "fp32",
    weights: Annotated[
        str, typer.Option(help="fp32, fp16 or int8: how a graph in fp32 stores large weights.")
    ] = "fp32",
    data_dir: DataDir = None,
    models_dir: ModelsDir = None,
    as_json: Json = False,
) -> None:
    """Write a run as one ONNX file, proved on its test split."""
    if not onnx and triton is None:
        raise UsageError("export needs a format; pass --onnx or --triton DIR")
    _check_choice("precision", precision)
    _check_choice("weights", weights)
    if triton is not None and not Path(run).is_dir():
        if onnx or precision != "fp32" or weights != "fp32":
            raise UsageError(f"{run} is not a run directory; --onnx, --precision and --weights need one")
        from vision_zoo.serving.models import find_model

        added = _add_to_triton(find_model(run, models_dir), triton)
        if as_json:
            print_json({"triton": str(added)})
        else:
            print(f"{added} is ready for Triton")
        return
    from vision_zoo.training.export import export_onnx

    print(f"exporting {run} and proving the file on every test image", file=sys.stderr)
    with tempfile.TemporaryDirectory() as scratch:
        exported = export_onnx(
            Path(run),
            output_dir if onnx else Path(scratch),
            data_dir=data_dir,
            precision=cast(Precision, precision),
            weights=cast(Precision, weights),
        )
        target = None if triton is None else _add_to_triton(exported.path, triton)
    proof = exported.proof
    if as_json:
        print_json(
            {
                "model": str(exported.path) if onnx else None,
                "triton": None if target is None else str(target),
                "argmax_agreement": proof.argmax_agreement,
                "max_logit_difference": proof.max_logit_difference,
                "test_accuracy": proof.accuracy,
                "checkpoint_accuracy": proof.checkpoint_accuracy,
                "images": proof.images,
            }
        )
        return
    written = exported.path if onnx else target
    print(
        f"{written}{' (replaced)' if exported.replaced else ''}: {proof.argmax_agreement:.2%} of {proof.images:,} "
        f"predictions as the checkpoint's, largest logit difference {proof.max_logit_difference:.1e}, "
        f"accuracy {proof.checkpoint_accuracy:.2%} before and {proof.accuracy:.2%} after"
    )
    if onnx and target is not None:
        print(f"{target} is ready for Triton")


def _check_choice(option: str, value: str) -> None:
    if value not in get_args(Precision):
        raise UsageError(f"unknown {option} {value!r}; expected {', '.join(get_args(Precision))}")


def _add_to_triton(path: Path, repository: Path) -> Path:
    from vision_zoo import triton
    from vision_zoo.serving.session import Session

    session = Session(path, provider="cpu")  # verifies the file
    return triton.write_model(repository, session.name, path.read_bytes(), session.metadata)


def tune(
    recipe: Annotated[str, typer.Argument(help="A name from `vision-zoo list recipes`.", show_default=False)],
    grid: Annotated[
        list[str] | None,
        typer.Option(help="FIELD=VALUE,…, once a field; the report's grid where the recipe has one."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="At most, for every point.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of every point.")] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Points at a time; one a core, or one on a GPU.", min=1)
    ] = None,
    device: Device = "auto",
    data_dir: DataDir = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the grid; runs/tune/<recipe> by default.")
    ] = None,
    results_dir: Annotated[
        Path | None, typer.Option(help="Folder to keep the figures in as well, for instance results.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Search a grid of settings; validation chooses. Run it again to go on."""
    chosen_device = device_name(device)
    from vision_zoo.training.recipes import find_recipe
    from vision_zoo.training.recipes.grids import GRIDS

    chosen = find_recipe(recipe).override(epochs=epochs, seed=seed)
    from vision_zoo.grid_search import search
    from vision_zoo.progress import progress_on_stderr
    from vision_zoo.tables import render
    from vision_zoo.training.tune import describe, parse_grid

    values = parse_grid(grid) if grid else dict(GRIDS[recipe].values) if recipe in GRIDS else {}
    folder = out or Path("runs") / "tune" / chosen.name
    with progress_on_stderr() as progress:
        document = search(
            chosen,
            values,
            out=folder,
            jobs=jobs,
            device=chosen_device,
            data_dir=data_dir,
            results_dir=results_dir,
            progress=progress,
        )
    if as_json:
        print_json(document)
        return
    rows = [
        {
            **{field: point[field] for field in values},
            "validation": f"{point['validation_accuracy']:.2%}",
            "test": f"{point['test_accuracy']:.2%}",
            "epochs": point["epochs"],
            "seconds": round(point["train_seconds"], 1),
        }
        for point in document["points"]
    ]
    print(render(rows, "table", title=f"{chosen.name}: {len(rows)} points"))
    print(f"\nchosen on validation: {describe(document['chosen'])}; {folder / 'grid.png'} shows all")


def reproduce(
    recipes: Annotated[
        list[str] | None, typer.Argument(help="Names from `vision-zoo list recipes`.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every recipe of a published report.")] = False,
    seeds: Annotated[int, typer.Option(help="Runs of each recipe, with the seeds 0, 1, …", min=1)] = 1,
    runs_dir: Annotated[Path, typer.Option(help="Folder for the run directories.")] = Path("runs"),
    results_dir: Annotated[Path, typer.Option(help="Folder for the figures.")] = Path("results"),
    document: Annotated[Path, typer.Option(help="The document to regenerate.")] = Path("docs/RESULTS.md"),
    device: Device = "auto",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Repeat published experiments, what is missing, and set their figures beside the reports'."""
    chosen_device = device_name(device)
    if everything == bool(recipes):
        raise UsageError("reproduce takes recipes or --all; `vision-zoo list recipes` lists what there is")
    from vision_zoo import report
    from vision_zoo.training.recipes import RECIPES, find_recipe

    chosen = [find_recipe(name) for name in recipes or RECIPES]
    if everything:
        chosen = [recipe for recipe in chosen if recipe.dataset != "mnist-5k"]
    from vision_zoo.progress import progress_on_stderr
    from vision_zoo.reproduce import Folders, reproduce_all

    folders = Folders(runs=runs_dir, results=results_dir, data=data_dir)
    try:
        with progress_on_stderr() as progress:
            paths = reproduce_all(
                chosen, seeds=seeds, folders=folders, device=chosen_device, progress=progress
            )
    finally:
        report.write(document, results_dir)
    names = [recipe.name for recipe in chosen]
    if as_json:
        print_json(report.measured(results_dir, names))
        return
    print(report.terminal_table(results_dir, names))
    print(
        f"\nThe figures are in {', '.join(sorted({str(path.parent) for path in paths}))}, the report in {document}"
    )
