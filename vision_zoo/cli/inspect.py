"""Commands that inspect: `info` and `card` a model, `report` a run, `doctor` the machine."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from vision_zoo.cli.document import print_json
from vision_zoo.cli.options import DataDir, Json, Model, ModelsDir, report_model
from vision_zoo.core.errors import DeviceError

_MARKS = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}


def info(model: Model, models_dir: ModelsDir = None, as_json: Json = False) -> None:
    """Show the metadata, operators and layers of an exported model."""
    from vision_zoo.core.tables import render
    from vision_zoo.serving.models import find_model

    described = _describe_model(find_model(model, models_dir))
    if as_json:
        print_json(described)
        return
    print(render(_overview(described), "table", title=described["name"]))
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


def report(
    run: Annotated[Path, typer.Argument(help="Finished run directory.", metavar="RUN", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="HTML file to write. Default: report.html in the run.", metavar="FILE")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="folder:PATH, where the run's folder of images was moved.")
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Write the report of a run as one HTML page: curves, confusions with images, mistakes, calibration."""
    from vision_zoo import api

    page = api.report(run, out, dataset=dataset, data_dir=data_dir)
    if as_json:
        print_json({"report": str(page), "bytes": page.stat().st_size})
        return
    print(f"{page}: {page.stat().st_size / 1e6:.1f} MB; open it in a browser")


def doctor(models_dir: ModelsDir = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Find problems that keep this machine from running models, and suggest remedies."""
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


def _describe_model(path: Path) -> dict[str, Any]:
    """Describe the metadata, the file, and the operators and layers of the graph; ModelError if the file cannot be used.

    `operators` and `layers` are None if the package onnx is not installed.
    """
    from vision_zoo.serving.session import Session

    session = Session(path, provider="cpu")
    metadata = session.metadata
    described: dict[str, Any] = {
        "name": session.name,
        "path": str(path),
        "bytes": session.size,
        "listed_in_manifest": session.verified,
        **metadata.to_dict(),
        "operators": None,
        "layers": None,
    }
    if metadata.session_options is not None:
        described["session_options_used"] = session.tuned
    try:
        from vision_zoo.exporting.graph import summarise_graph

        summary = summarise_graph(path.read_bytes(), name=str(path))
    except ModuleNotFoundError:
        return described
    described["operators"] = dict(summary.operators)
    described["layers"] = [asdict(layer) for layer in summary.layers]
    return described


def _overview(described: dict[str, Any]) -> list[dict[str, Any]]:
    """Two columns for a terminal."""
    image = described["input"]
    arguments = ", ".join(f"{name}={value}" for name, value in described["architecture_arguments"].items())
    tested = (
        "measured before it was fitted to them, too"
        if described.get("refitted")
        else "measured with this file"
    )
    rows = {
        "file": f"{described['path']}, {described['bytes'] / 2**20:.2f} MiB",
        "manifest": "the file matches manifest.json"
        if described["listed_in_manifest"]
        else "the file is not listed in a manifest",
        "recipe": described["recipe"],
        "architecture": described["architecture"] + (f" ({arguments})" if arguments else ""),
        "dataset": f"{described['dataset']} ({described['data_variant']})",
        "test accuracy": f"{described['test_accuracy']:.2%} of {described['test_images']:,} images, {tested}",
        "labels": ", ".join(described["labels"]),
        "input": f"image: uint8 [batch, {image['height']}, {image['width']}, {image['channels']}]",
        "preprocessing": _preparation(image),
        "output": f"logits, probabilities: float32 [batch, {len(described['labels'])}]"
        + (f"; embeddings: float32 [batch, {described['embeddings']}]" if "embeddings" in described else ""),
        "precision": described["precision"]
        + (", with weights of all 8 bits" if described.get("full_range") else ""),
        "large weights": described["weights"],
        "parameters": f"{described['parameters']:,}",
        "MACs": f"{described['macs']:,} for one image",
        "opset": described["opset"],
        "written by": ", ".join(f"{name} {version}" for name, version in described["versions"].items()),
    }
    calibration = described.get("calibration")
    if calibration is not None:
        rows["calibration"] = (
            f"temperature {calibration['temperature']:.3f}, prediction sets of "
            f"{', '.join(calibration['set_thresholds'])} %, "
            f"from {calibration['images']:,} images ({calibration['calibrated_on']})"
        )
    options = described.get("session_options")
    if options is not None:
        from vision_zoo.artifact.session_options import TunedOptions

        stored = TunedOptions(**options)
        rows["session options"] = (
            f"{stored.description}: fastest for batches of {', '.join(map(str, stored.batch_sizes))} on "
            f"{stored.measured_on}"
            + (
                ""
                if described["session_options_used"]
                else "; ignored on this machine, for another processor or too few cores"
            )
        )
    if described["operators"] is not None:
        rows["operators"] = ", ".join(f"{count} {name}" for name, count in described["operators"].items())
    return [{"": name, "value": str(value)} for name, value in rows.items()]


_SQUARE = {
    "center": "cropped to the central square",
    "none": "padded to a square",
    "stretch": "each side scaled by itself",
}


def _preparation(image: dict[str, Any]) -> str:
    steps = ["grayscale" if image["channels"] == 1 else "RGB"]
    steps.append(_SQUARE[image["crop"]])
    if image["polarity"] == "light_on_dark":
        steps.append("inverted if the border is light")
    if image["centring"] == "center_of_mass":
        steps.append("content scaled to 20/28 of the side, centred by mass")
    steps.append(f"scaled with a {image['resample']} filter")
    return ", ".join(steps)
