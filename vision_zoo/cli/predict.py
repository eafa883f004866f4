"""An exported model on images: `predict` classifies files, `evaluate` scores a dataset."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vision_zoo.cli.document import print_json
from vision_zoo.cli.options import DataDir, Json, Model, ModelsDir, Provider, report_model, warn_of_fallback

_NAMED = 10
"""How many files that cannot be used are named."""

if TYPE_CHECKING:
    from vision_zoo.artifact.metadata import Metadata
    from vision_zoo.core.progress import Progress
    from vision_zoo.data.dataset import Split


def predict(
    model: Model,
    images: Annotated[list[str], typer.Argument(metavar="IMAGE…", help="Image files.", show_default=False)],
    top: Annotated[
        int | None, typer.Option(help="Only the K most probable labels; 3 without --json.", min=1)
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
        others = f" ({len(failures)} of {len(images)} images cannot be used)" if len(images) > 1 else ""
        raise ImageError("; ".join(reasons) + others)


def evaluate(
    model: Model,
    dataset: Annotated[
        str, typer.Option(help="A name from `vision-zoo list datasets`, or folder:PATH.", show_default=False)
    ],
    data_dir: DataDir = None,
    models_dir: ModelsDir = None,
    provider: Provider = "auto",
    as_json: Json = False,
) -> None:
    """Score an exported model on a dataset's test split, or on all pictures of folder:PATH where that has no test/."""
    from vision_zoo.core.progress import progress_on_stderr
    from vision_zoo.core.tables import render
    from vision_zoo.data import find_dataset
    from vision_zoo.data.own_folder import folder_path, is_own_folder
    from vision_zoo.serving.evaluate import evaluate as score_session
    from vision_zoo.serving.models import find_model
    from vision_zoo.serving.session import Session

    own = folder_path(dataset) if is_own_folder(dataset) else None
    named = find_dataset(dataset) if own is None else None
    warn_of_fallback(provider)
    session = Session(find_model(model, models_dir), provider=provider)
    metadata = session.metadata
    report_model(session.path)
    with progress_on_stderr() as progress:
        if own is not None:
            scored = _own_pictures(own, metadata, progress)
        elif named is not None:
            scored = _Scored(named.name, "test", named.load(data_dir).test, named.labels)
        score = score_session(session, scored.split.images, scored.split.labels, scored.labels, progress)
    if as_json:
        print_json(
            {
                "model": str(session.path),
                "dataset": scored.dataset,
                "split": scored.name,
                "accuracy": score.accuracy,
                "images": score.images,
                "confusion_matrix": score.confusion_matrix.tolist(),
                "labels": list(scored.labels),
                "provider": session.provider,
            }
        )
        return
    if named is not None and named.drawn_from == metadata.dataset:
        print(
            f"warning: {named.name} is a part of {named.drawn_from}'s training images, on which {session.name} was "
            "trained: this accuracy says nothing about new images",
            file=sys.stderr,
        )
    which = "test images" if scored.name == "test" else "images, all"
    print(
        f"{session.name}: {score.accuracy:.2%} of {score.images:,} {which} of {scored.dataset} ({session.provider})"
    )
    print("\nTrue classes in rows, predicted ones in columns:")
    print(render(score.table(scored.labels), "table"))


@dataclass(frozen=True, eq=False)
class _Scored:
    """What a model is scored on: `test` or `all` of a dataset's images, with numbers into `labels`."""

    dataset: str
    name: str
    split: "Split"
    labels: tuple[str, ...]


def _own_pictures(path: Path, metadata: "Metadata", progress: "Progress") -> _Scored:
    """The pictures in `path` as the model takes them, their classes found among its labels by name."""
    from vision_zoo.data.dataset import report_skipped
    from vision_zoo.data.own_folder import folder_name, pictures_to_score

    name, splits = pictures_to_score(path, metadata.labels, metadata.input)
    report_skipped(splits, progress)
    if name == "test":
        progress.line(f"{path} has splits of its own: its test split is scored")
    if folder_name(path) == metadata.dataset and name == "all":
        progress.line(
            f"warning: the model was trained on a folder of this name ({metadata.dataset}): if it is that one, most of "
            "these pictures are its training images, and this accuracy says nothing about new ones"
        )
    return _Scored(folder_name(path), name, splits.test, metadata.labels)
