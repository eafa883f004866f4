"""Run an exported model on images: `predict` classifies files, `evaluate` scores a dataset."""

from typing import Annotated

import typer

from vision_zoo.cli.document import print_json
from vision_zoo.cli.options import DataDir, Json, Model, ModelsDir, Provider, report_model, warn_of_fallback

_NAMED = 10
"""Number of unusable files to name in the error."""


def predict(
    model: Model,
    images: Annotated[list[str], typer.Argument(metavar="IMAGE…", help="Image files.", show_default=False)],
    top: Annotated[
        int | None,
        typer.Option(help="Number of most probable labels to print. Default: 3; all with --json.", min=1),
    ] = None,
    models_dir: ModelsDir = None,
    provider: Provider = "auto",
    as_json: Json = False,
) -> None:
    """Classify image files."""
    from vision_zoo.core.errors import ImageError
    from vision_zoo.serving.models import find_model
    from vision_zoo.serving.predict import classify_file, image_path
    from vision_zoo.serving.session import Session

    warn_of_fallback(provider)
    session = Session(find_model(model, models_dir), provider=provider)
    if not as_json:
        report_model(session.path)
    results, failures = [], []
    for image in images:
        try:
            results.append(classify_file(session, image_path(image), top=top))
        except ImageError as error:
            failures.append(error)
    if as_json:
        print_json([{"model": str(session.path), **result} for result in results])
    else:
        for result in results:
            ranked = list(result["probabilities"].items())[: top or 3]
            print(f"{result['image']}: " + ", ".join(f"{label}: {share:.2%}" for label, share in ranked))
    if failures:
        reasons = [str(failure) for failure in failures[:_NAMED]]
        if len(failures) > _NAMED:
            reasons.append(f"and {len(failures) - _NAMED} more")
        others = f" ({len(failures)} of {len(images)} images could not be used)" if len(images) > 1 else ""
        raise ImageError("; ".join(reasons) + others)


def evaluate(
    model: Model,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Name from `vision-zoo list datasets`, or folder:PATH. Default: the dataset that it was trained on."
        ),
    ] = None,
    data_dir: DataDir = None,
    models_dir: ModelsDir = None,
    provider: Provider = "auto",
    as_json: Json = False,
) -> None:
    """Compute the accuracy of an exported model on a test split, or on all images of a folder without test/."""
    from vision_zoo.core.progress import progress_on_stderr
    from vision_zoo.core.tables import render
    from vision_zoo.serving.evaluate import dataset_to_score, evaluate_dataset
    from vision_zoo.serving.models import find_model
    from vision_zoo.serving.session import Session

    chosen = None if dataset is None else dataset_to_score(dataset)
    warn_of_fallback(provider)
    session = Session(find_model(model, models_dir), provider=provider)
    report_model(session.path)
    with progress_on_stderr() as progress:
        score = evaluate_dataset(session, chosen, data_dir=data_dir, progress=progress)
    if as_json:
        print_json(
            {
                "model": str(session.path),
                "dataset": score.dataset,
                "split": score.split,
                "accuracy": score.accuracy,
                "images": score.images,
                "confusion_matrix": score.confusion_matrix.tolist(),
                "labels": list(score.labels),
                "provider": session.provider,
            }
        )
        return
    which = "test images" if score.split == "test" else "images (all)"
    print(
        f"{session.name}: {score.accuracy:.2%} of {score.images:,} {which} of {score.dataset} ({session.provider})"
    )
    print("\nConfusion matrix (rows: true class, columns: predicted class):")
    print(render(score.table(score.labels), "table"))
