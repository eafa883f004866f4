"""`export`: write a run as a verified ONNX file or for Triton, or models as an HTML page or a Hugging Face Space."""

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from vision_zoo.cli.document import print_json
from vision_zoo.cli.options import DataDir, Json, ModelsDir, Runtime, report_model, tell_of_fetching
from vision_zoo.core.choices import Precision
from vision_zoo.core.errors import UsageError


def export(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="Run directory; with --triton, also a model; with --html or --space, one or more models.",
            show_default=False,
        ),
    ],
    onnx: Annotated[
        bool, typer.Option("--onnx", help="With --triton, also write an ONNX file and its manifest.")
    ] = False,
    triton: Annotated[
        Path | None,
        typer.Option(help="Triton model repository to add the model to, instead of --output-dir."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            help="File for one HTML page that runs models in a browser, without a network.", metavar="FILE"
        ),
    ] = None,
    space: Annotated[
        Path | None,
        typer.Option(help="Folder for a Hugging Face Space with models: a Gradio app.", metavar="DIR"),
    ] = None,
    runtime: Runtime = None,
    output_dir: Annotated[
        Path | None, typer.Option(help="Folder for the model and its manifest. Default: exported.")
    ] = None,
    precision: Annotated[Precision, typer.Option(help="Precision of the computation.")] = "fp32",
    weights: Annotated[Precision, typer.Option(help="Storage of large weights in an fp32 model.")] = "fp32",
    embeddings: Annotated[
        bool,
        typer.Option(
            "--embeddings",
            help="Add the output `embeddings`: the input of the last dense layer, for image search.",
        ),
    ] = False,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="New location of the run's image folder, as folder:PATH, if it was moved.",
            show_default=False,
        ),
    ] = None,
    data_dir: DataDir = None,
    models_dir: ModelsDir = None,
    as_json: Json = False,
) -> None:
    """Export a run as one ONNX file, verified on its test split, or models as an HTML page or a Space."""
    if "" in runs:
        raise UsageError("the name of a run is empty; expected a run directory")
    converts = embeddings or precision != "fp32" or weights != "fp32"
    if html is not None or space is not None:
        if onnx or triton is not None or output_dir is not None or converts:
            raise UsageError(
                f"--{'space' if html is None else 'html'} takes exported models unchanged; omit --onnx, --triton, "
                "--output-dir, --embeddings, --precision and --weights, or use them in a separate export"
            )
        _export_models(runs, html, space, runtime, models_dir, as_json=as_json)
        return
    if runtime is not None:
        raise UsageError("--runtime is for --html FILE; give both or neither")
    if output_dir is not None and triton is not None and not onnx:
        raise UsageError(
            "--output-dir is for the ONNX file; omit it with --triton, or add --onnx to write both"
        )
    if len(runs) > 1:
        raise UsageError(
            f"export takes one RUN, not {len(runs)}; only --html FILE and --space DIR take several models"
        )
    (run,) = runs
    onnx = onnx or triton is None
    if triton is not None and not Path(run).is_dir():
        if onnx or converts:
            raise UsageError(
                f"{run} is not a run directory; --onnx, --embeddings, --precision and --weights need one"
            )
        _add_to_triton(triton, run, models_dir, as_json=as_json)
        return
    from vision_zoo import api

    print(f"exporting {run} and verifying the file on every test image", file=sys.stderr)
    with tempfile.TemporaryDirectory() as scratch:
        exported = api.export(
            run,
            (output_dir or "exported") if onnx else scratch,
            precision=precision,
            weights=weights,
            embeddings=embeddings,
            triton=triton,
            dataset=dataset,
            data_dir=data_dir,
        )
    target = exported.triton
    if as_json:
        print_json(
            {
                "model": str(exported.path) if onnx else None,
                "triton": None if target is None else str(target),
                "argmax_agreement": exported.argmax_agreement,
                "max_logit_difference": exported.max_logit_difference,
                "test_accuracy": exported.accuracy,
                "checkpoint_accuracy": exported.checkpoint_accuracy,
                "images": exported.images,
                "embeddings": exported.embeddings,
                "refitted": exported.refitted,
            }
        )
        return
    written = exported.path if onnx else target
    print(
        f"{written}{' (replaced)' if exported.replaced else ''}: {exported.argmax_agreement:.2%} of {exported.images:,} "
        f"predictions equal the checkpoint's, largest logit difference {exported.max_logit_difference:.1e}, "
        f"accuracy {exported.checkpoint_accuracy:.2%} before and {exported.accuracy:.2%} after export"
    )
    if exported.refitted:
        print("the file is fitted to these images, too; its accuracy was measured before, without them")
    if onnx and target is not None:
        print(f"{target} is ready for Triton")


def _add_to_triton(repository: Path, model: str, models_dir: Path | None, *, as_json: bool) -> None:
    """Add a finished file to a Triton model repository."""
    from vision_zoo.serving.models import find_model
    from vision_zoo.serving.triton import add_model

    path = find_model(model, models_dir)
    added = add_model(repository, path)
    report_model(path)
    if as_json:
        print_json({"triton": str(added)})
    else:
        print(f"{added} is ready for Triton")


def _export_models(
    models: list[str],
    html: Path | None,
    space: Path | None,
    runtime: Path | None,
    models_dir: Path | None,
    *,
    as_json: bool,
) -> None:
    """Export finished files as one page or as a Space."""
    if html is not None and space is not None:
        raise UsageError("--html and --space are two exports; give one of them")
    if html is not None:
        _export_html(models, html, runtime, models_dir, as_json=as_json)
        return
    if space is not None and runtime is None:
        _export_space(models, space, models_dir, as_json=as_json)
        return
    raise UsageError("--runtime is for --html FILE; omit it with --space")


def _export_html(
    models: list[str], file: Path, runtime: Path | None, models_dir: Path | None, *, as_json: bool
) -> None:
    from vision_zoo import api

    tell_of_fetching(runtime)
    page = api.export_html(models, file, runtime=runtime, models_dir=models_dir)
    if as_json:
        print_json({"html": str(page.path), "bytes": page.size, "models": list(page.models)})
    else:
        print(
            f"{page.path}: {', '.join(page.models)} in one page of {page.size / 1e6:.1f} MB; open it in a browser"
        )


def _export_space(models: list[str], folder: Path, models_dir: Path | None, *, as_json: bool) -> None:
    from vision_zoo.experiments.site.space import write_space
    from vision_zoo.serving.models import find_model

    names = write_space(folder, [find_model(model, models_dir) for model in models])
    if as_json:
        print_json({"space": str(folder), "models": list(names)})
        return
    print(f"{folder}: a Space of {', '.join(names)}")
    print(f"next: hf upload OWNER/SPACE {folder} . --repo-type space")
