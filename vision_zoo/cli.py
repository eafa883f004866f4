"""The command line: one thin function a command. Heavy imports are inside the functions."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from vision_zoo.errors import MissingExtraError, UsageError, VisionZooError

app = typer.Typer(
    name="vision-zoo",
    help="Train small-image classifiers, export proven ONNX files, measure them and serve them.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder with the datasets; without it VISION_ZOO_DATA, the cache, then a download."),
]
ModelsDir = Annotated[Path | None, typer.Option(help="Folder of exported models, instead of exported/.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Provider = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON document on stdout.")]
Model = Annotated[str, typer.Argument(help="A path, or a name in exported/.", show_default=False)]

_TRAIN_PACKAGES = {
    "matplotlib",
    "mlxtend",
    "onnx",
    "onnxscript",
    "safetensors",
    "tensorboard",
    "torch",
    "torchvision",
}


def main() -> None:
    """Run the command line; every error is one line on stderr and a non-zero exit code."""
    try:
        code = app(standalone_mode=False)
    except VisionZooError as error:
        _fail(str(error), error.exit_code)
    except TyperException as error:
        _fail(f"{_uncapitalised(error.format_message())} (see {_program()} --help)", 2)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _TRAIN_PACKAGES:
            raise
        missing = MissingExtraError(f"this needs the package {error.name}: pip install 'vision-zoo[train]'")
        _fail(str(missing), missing.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted", 130)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away; there is nobody to tell
        sys.exit(1)
    except MemoryError:
        _fail("out of memory; use a smaller --batch-size or close other programs", 1)
    if code == 130:
        _fail("interrupted", 130)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> None:
    line = " ".join(message.split())
    print(f"error: {line}", file=sys.stderr)
    sys.exit(code)


def _program() -> str:
    words = [word for word in sys.argv[1:2] if not word.startswith("-") and word in _command_names()]
    return " ".join(["vision-zoo", *words])


def _command_names() -> set[str]:
    return {command.name or "" for command in app.registered_commands}


def _uncapitalised(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")


def _print_json(document: Any) -> None:
    print(json.dumps(document, indent=2))


def _show_version(wanted: bool) -> None:
    if wanted:
        from vision_zoo import __version__

        print(f"vision-zoo {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train small-image classifiers, export proven ONNX files, measure them and serve them."""


@app.command()
def quickstart(
    out: Annotated[Path, typer.Option(help="Folder for all that it writes.")] = Path("runs/quickstart"),
    as_json: Json = False,
) -> None:
    """Train, export, prove, measure and use a digit classifier, in about a minute."""
    from vision_zoo.progress import progress_on_stderr
    from vision_zoo.quickstart import next_steps, summary
    from vision_zoo.quickstart import quickstart as run_quickstart
    from vision_zoo.tables import render

    with progress_on_stderr() as progress:
        result = run_quickstart(out, progress)
    if as_json:
        _print_json(result)
        return
    print(render(summary(result), "table", title="vision-zoo quickstart"))
    print("\nWhat to do next:")
    for command in next_steps(result):
        print(f"  {command}")


@app.command(name="list")
def list_entries(
    kind: Annotated[
        str, typer.Argument(help="recipes, architectures, datasets or models.", show_default=False)
    ],
    models_dir: ModelsDir = None,
    as_json: Json = False,
) -> None:
    """List recipes, architectures, datasets or models."""
    from vision_zoo.listing import listing, summary
    from vision_zoo.tables import render

    entries = listing(kind, models_dir)
    if as_json:
        _print_json(entries)
    elif entries:
        print(render(summary(kind, entries), "table"))
    else:
        print("there are no models yet; train one and export it", file=sys.stderr)


@app.command()
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
    """Train a recipe, or an architecture on a dataset, into a run directory."""
    overrides = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": lr,
        "patience": patience,
        "seed": seed,
    }
    _check_device(device)
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
            run = training.resume(resume, device=device, data_dir=data_dir, progress=progress)  # type: ignore[arg-type]
        else:
            path = out or training.default_path(chosen)
            run = training.start(chosen, path, device=device, data_dir=data_dir, progress=progress)  # type: ignore[arg-type]
    if as_json:
        _print_json(
            {
                "run": str(run.path),
                "test_accuracy": run.test_accuracy,
                "train_seconds": run.train_seconds,
                "epochs": run.epochs,
            }
        )
        return
    print(f"{run.path}: {run.test_accuracy:.2%} of the test images right after {run.epochs} epochs")
    print(f"next: vision-zoo export {run.path} --onnx")


def _check_device(device: str) -> None:
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"unknown device {device!r}; expected auto, cpu or cuda")


def _refuse_beside_resume(**given: Any) -> None:
    unwanted = [f"--{name.replace('_', '-')}" for name, value in given.items() if value is not None]
    if unwanted:
        raise UsageError(
            f"--resume continues a run with its own settings; leave out {', '.join(unwanted)}".replace(
                "--learning-rate", "--lr"
            ).replace("--recipe", "the recipe")
        )


@app.command()
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
    """Export a finished run to one self-contained file, proved on the test split before it is written."""
    if not onnx:
        raise UsageError("export needs a format; pass --onnx")
    from vision_zoo.training.export import export_onnx

    exported = export_onnx(run, output_dir, data_dir=data_dir)
    proof = exported.proof
    if as_json:
        _print_json(
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


@app.command()
def evaluate(
    model: Model,
    dataset: Annotated[str, typer.Option(help="A name from `vision-zoo list datasets`.", show_default=False)],
    data_dir: DataDir = None,
    models_dir: ModelsDir = None,
    provider: Provider = "auto",
    as_json: Json = False,
) -> None:
    """Score an exported model on a dataset's test split, through ONNX Runtime."""
    from vision_zoo.progress import progress_on_stderr
    from vision_zoo.serving.evaluate import evaluate as score_session
    from vision_zoo.serving.models import find_model
    from vision_zoo.serving.session import Session
    from vision_zoo.training.datasets import find_dataset

    data = find_dataset(dataset)
    session = Session(find_model(model, models_dir), provider=provider)
    test = data.load(data_dir).test
    with progress_on_stderr() as progress:
        score = score_session(session, test.images, test.labels, data.labels, progress)
    if as_json:
        _print_json(
            {
                "model": str(session.path),
                "dataset": data.name,
                "accuracy": score.accuracy,
                "images": score.images,
                "confusion_matrix": score.confusion_matrix.tolist(),
                "labels": list(data.labels),
                "provider": session.provider,
            }
        )
        return
    print(
        f"{session.name}: {score.accuracy:.2%} of {score.images:,} test images of {data.name} ({session.provider})"
    )


@app.command()
def bench(
    models: Annotated[list[str] | None, typer.Argument(help="Paths or names; all models by default.")] = None,
    provider: Provider = "auto",
    batch_sizes: Annotated[str, typer.Option(help="Comma-separated.")] = "1,8,64",
    against: Annotated[
        str | None, typer.Option(help="torch: eager torch, in turns with ONNX Runtime.")
    ] = None,
    threads: Annotated[int, typer.Option(help="Of each engine.")] = 1,
    duration: Annotated[float, typer.Option(help="Seconds for every engine and batch size.")] = 2.0,
    table_format: Annotated[str, typer.Option("--format", help="table, json, csv or md.")] = "table",
    models_dir: ModelsDir = None,
) -> None:
    """Measure latency and throughput of exported models."""
    from vision_zoo.tables import check_format, render

    check_format(table_format)
    from vision_zoo.benchmark import BenchmarkSettings, benchmark
    from vision_zoo.progress import progress_on_stderr
    from vision_zoo.serving.models import find_models

    settings = BenchmarkSettings(
        provider=provider,
        batch_sizes=_numbers(batch_sizes),
        against=tuple(against.split(",")) if against else (),
        threads=threads,
        seconds=duration,
    )
    with progress_on_stderr() as progress:
        rows = benchmark(find_models(models or [], models_dir), settings, progress)
    if table_format == "json":
        from vision_zoo.environment import describe

        _print_json({"environment": describe(), "rows": rows})
        return
    print(render(rows, table_format))
    if table_format == "table":
        from vision_zoo.environment import cpu_model, usable_cores, versions

        engine = next(
            f"{name} {number}" for name, number in versions().items() if name.startswith("onnxruntime")
        )
        print(f"milliseconds a call; {cpu_model()}, {usable_cores()} cores, {engine}")


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError as error:
        raise UsageError(
            f"--batch-sizes {text!r} is no list of whole numbers; expected for instance 1,8,64"
        ) from error


@app.command()
def predict(
    model: Model,
    images: Annotated[list[Path], typer.Argument(help="Image files.", show_default=False)],
    top: Annotated[int | None, typer.Option(help="Only the K most probable labels.", min=1)] = None,
    models_dir: ModelsDir = None,
    provider: Provider = "auto",
    as_json: Json = False,
) -> None:
    """Classify image files."""
    from vision_zoo.errors import ImageError
    from vision_zoo.serving.models import find_model
    from vision_zoo.serving.predict import classify_file
    from vision_zoo.serving.session import Session

    session = Session(find_model(model, models_dir), provider=provider)
    results, failures = [], []
    for image in images:
        try:
            results.append(classify_file(session, image, top=top))
        except ImageError as error:
            failures.append(error)
    if as_json:
        _print_json(results)
    else:
        for result in results:
            ranked = list(result["probabilities"].items())[: top or 3]
            print(f"{result['image']}: " + ", ".join(f"{label} {share:.1%}" for label, share in ranked))
    for failure in failures[:-1]:
        print(f"error: {failure}", file=sys.stderr)
    if failures:
        raise failures[-1]


@app.command()
def demo(
    models_dir: ModelsDir = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 7860,
    provider: Provider = "auto",
) -> None:
    """Open a page to draw digits on and drop images into."""
    from vision_zoo.serving.demo import run_demo

    run_demo(models_dir, host=host, port=port, provider=provider)


@app.command()
def reproduce(
    recipes: Annotated[
        list[str], typer.Argument(help="Names from `vision-zoo list recipes`.", show_default=False)
    ],
    models_dir: Annotated[Path, typer.Option(help="Folder for the exported models.")] = Path("exported"),
    results_dir: Annotated[Path, typer.Option(help="Folder for the figures.")] = Path("results"),
    device: Device = "auto",
    data_dir: DataDir = None,
) -> None:
    """Repeat published experiments: train, export, measure, and keep the figures in results/."""
    _check_device(device)
    from vision_zoo.training.recipes import find_recipe

    chosen = [find_recipe(name) for name in recipes]
    from vision_zoo.progress import progress_on_stderr
    from vision_zoo.reproduce import reproduce as reproduce_recipe

    with progress_on_stderr() as progress:
        for recipe in chosen:
            path = reproduce_recipe(
                recipe,
                models_dir=models_dir,
                results_dir=results_dir,
                device=device,  # type: ignore[arg-type]
                data_dir=data_dir,
                progress=progress,
            )
            print(path)
