"""`calibrate`: make the probabilities of exported models those of being right, without their runs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from vision_zoo.cli.document import print_json
from vision_zoo.cli.options import DataDir, Json, Models, ModelsDir


def calibrate(
    models: Models,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="folder:PATH with labelled images that the model was not trained on. Default: the images that its "
            "recipe held out of training, or half of the test split.",
            show_default=False,
        ),
    ] = None,
    output_dir: Annotated[
        Path | None,
        typer.Option(help="Folder for the calibrated models. Default: in place.", show_default=False),
    ] = None,
    data_dir: DataDir = None,
    models_dir: ModelsDir = None,
    as_json: Json = False,
) -> None:
    """Calibrate exported models: probabilities, prediction sets, and the detection of unfamiliar images.

    Predictions do not change. `vision-zoo export` calibrates by itself if the run held out images.
    """
    from vision_zoo.core.progress import progress_on_stderr
    from vision_zoo.exporting.calibrate import calibrate_file
    from vision_zoo.serving.models import find_model

    done: list[dict[str, Any]] = []
    for path in [find_model(model, models_dir) for model in models]:
        with progress_on_stderr() as progress:
            progress.line(f"calibrating {path}")
            found = calibrate_file(
                path, dataset=dataset, data_dir=data_dir, output_dir=output_dir, progress=progress
            )
        calibration = found.calibration
        done.append(
            {
                "model": str(found.path),
                "calibrated_on": calibration.calibrated_on,
                "images": calibration.images,
                "temperature": calibration.temperature,
                "set_thresholds": dict(calibration.set_thresholds),
            }
        )
        if not as_json:
            print(
                f"{found.path}: temperature {calibration.temperature:.3f}, from {calibration.images:,} images "
                f"({calibration.calibrated_on}); prediction sets for {', '.join(calibration.set_thresholds)} % "
                "coverage"
            )
    if as_json:
        print_json(done)
