"""`export`: a run becomes one proven file, or an entry of a Triton model repository."""

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
        typer.Argument(metavar="RUN", help="A run directory; for --triton also a model.", show_default=False),
    ],
    onnx: Annotated[bool, typer.Option("--onnx", help="Write an ONNX file and its manifest.")] = False,
    triton: Annotated[
        Path | None, typer.Option(help="Add the model to a Triton model repository in this folder.")
    ] = None,
    output_dir: Annotated[Path, typer.Option(help="Folder for the model and its manifest.")] = Path(
        "exported"
    ),
    precision: Annotated[Precision, typer.Option(help="What the graph computes in.")] = "fp32",
    weights: Annotated[Precision, typer.Option(help="How a graph in fp32 stores large weights.")] = "fp32",
    dataset: Annotated[
        str | None,
        typer.Option(help="folder:PATH, where the run's own folder was moved.", show_default=False),
    ] = None,
    data_dir: DataDir = None,
    models_dir: ModelsDir = None,
    as_json: Json = False,
) -> None:
    """Write a run as one ONNX file, proved on its test split."""
    if not onnx and triton is None:
        raise UsageError("export needs a format; pass --onnx or --triton DIR")
    if triton is not None and not Path(run).is_dir():
        if onnx or precision != "fp32" or weights != "fp32":
            raise UsageError(f"{run} is not a run directory; --onnx, --precision and --weights need one")
        from vision_zoo.serving.models import find_model

        path = find_model(run, models_dir)
        added = _add_to_triton(path, triton)
        report_model(path)
        if as_json:
            print_json({"triton": str(added)})
        else:
            print(f"{added} is ready for Triton")
        return
    from vision_zoo.exporting.export import export_onnx

    print(f"exporting {run} and proving the file on every test image", file=sys.stderr)
    with tempfile.TemporaryDirectory() as scratch:
        exported = export_onnx(
            Path(run),
            output_dir if onnx else Path(scratch),
            data_dir=data_dir,
            dataset=dataset,
            precision=precision,
            weights=weights,
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


def _add_to_triton(path: Path, repository: Path) -> Path:
    from vision_zoo.serving import triton
    from vision_zoo.serving.session import Session

    session = Session(path, provider="cpu")  # verifies the file
    return triton.write_model(repository, session.name, path.read_bytes(), session.metadata)
