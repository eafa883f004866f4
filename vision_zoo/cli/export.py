"""`export`: write a run as a verified ONNX file, or as an entry of a Triton model repository."""

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from vision_zoo.cli.document import print_json
from vision_zoo.cli.options import DataDir, Json, ModelsDir, report_model
from vision_zoo.core.choices import Precision
from vision_zoo.core.errors import UsageError


def export(
    run: Annotated[
        str,
        typer.Argument(metavar="RUN", help="Run directory; with --triton, also a model.", show_default=False),
    ],
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Write an ONNX file and its manifest with --triton, too.")
    ] = False,
    triton: Annotated[
        Path | None,
        typer.Option(help="Triton model repository to add the model to, instead of --output-dir."),
    ] = None,
    output_dir: Annotated[Path, typer.Option(help="Folder for the model and its manifest.")] = Path(
        "exported"
    ),
    precision: Annotated[Precision, typer.Option(help="Precision of the computation.")] = "fp32",
    weights: Annotated[Precision, typer.Option(help="Storage of large weights in an fp32 model.")] = "fp32",
    embeddings: Annotated[
        bool,
        typer.Option(
            "--embeddings",
            help="Add the output `embeddings`: what the last dense layer takes, for search by image.",
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
    """Export a run as one ONNX file, verified on its test split."""
    onnx = onnx or triton is None
    if triton is not None and not Path(run).is_dir():
        if onnx or embeddings or precision != "fp32" or weights != "fp32":
            raise UsageError(
                f"{run} is not a run directory; --onnx, --embeddings, --precision and --weights need one"
            )
        from vision_zoo.serving.models import find_model
        from vision_zoo.serving.triton import add_model

        path = find_model(run, models_dir)
        added = add_model(triton, path)
        report_model(path)
        if as_json:
            print_json({"triton": str(added)})
        else:
            print(f"{added} is ready for Triton")
        return
    from vision_zoo import api

    print(f"exporting {run} and verifying the file on every test image", file=sys.stderr)
    with tempfile.TemporaryDirectory() as scratch:
        exported = api.export(
            run,
            output_dir if onnx else scratch,
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
            }
        )
        return
    written = exported.path if onnx else target
    print(
        f"{written}{' (replaced)' if exported.replaced else ''}: {exported.argmax_agreement:.2%} of {exported.images:,} "
        f"predictions equal the checkpoint's, largest logit difference {exported.max_logit_difference:.1e}, "
        f"accuracy {exported.checkpoint_accuracy:.2%} before and {exported.accuracy:.2%} after export"
    )
    if onnx and target is not None:
        print(f"{target} is ready for Triton")
