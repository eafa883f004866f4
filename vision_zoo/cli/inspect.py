"""Commands that inspect: `info` and `card` a model, `doctor` the machine."""

from pathlib import Path
from typing import Annotated

import typer

from vision_zoo.cli.document import print_json
from vision_zoo.cli.options import DataDir, Json, Model, ModelsDir, report_model
from vision_zoo.core.errors import DeviceError

_MARKS = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}


def info(model: Model, models_dir: ModelsDir = None, as_json: Json = False) -> None:
    """Show the metadata, operators and layers of an exported model."""
    from vision_zoo.cli.inspection import describe_model, overview
    from vision_zoo.core.tables import render
    from vision_zoo.serving.models import find_model

    described = describe_model(find_model(model, models_dir))
    if as_json:
        print_json(described)
        return
    print(render(overview(described), "table", title=described["name"]))
    if described["layers"] is None:
        from vision_zoo.core.installation import install_extra

        print(f"\nTo show its layers, install the package onnx: {install_extra('train')}")
        return
    layers = [{**layer, "output": " x ".join(map(str, layer["output"]))} for layer in described["layers"]]
    print("\n" + render(layers, "table", title="Layers, for one image"))


def card(
    model: Model,
    models_dir: ModelsDir = None,
    output: Annotated[Path | None, typer.Option(help="File to write instead of stdout.")] = None,
    results_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of measured results. Default: the results of the shipped models."),
    ] = None,
) -> None:
    """Write a model card in the format of the Hugging Face Hub."""
    from vision_zoo.core import atomic
    from vision_zoo.core.results import shipped_results
    from vision_zoo.experiments.report.model_card import model_card
    from vision_zoo.serving.models import find_model

    path = find_model(model, models_dir)
    text = model_card(path, results_dir or shipped_results())
    report_model(path)
    if output is None:
        print(text, end="")
    else:
        atomic.write_text(output, text)


def doctor(models_dir: ModelsDir = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Find problems that keep this machine from running models, and suggest remedies."""
    from dataclasses import asdict

    from vision_zoo.cli.doctor import diagnose
    from vision_zoo.core.progress import progress_on_stderr

    with progress_on_stderr() as progress:
        findings = diagnose(models_dir, data_dir, progress)
    problems = [finding for finding in findings if finding.state == "problem"]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            print(f"{_MARKS[finding.state]} {finding.check}: {finding.detail}")
            if finding.remedy:
                print(f"    {finding.remedy}")
    if problems:
        raise DeviceError(
            f"{len(problems)} of {len(findings)} checks found a problem; the remedy is printed below each"
        )
