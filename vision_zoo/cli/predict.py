"""Run an exported model on images: `predict` classifies them, `evaluate` scores a dataset."""

import csv
import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from vision_zoo.cli.document import print_document, print_json, reserve_stdout
from vision_zoo.cli.options import (
    DataDir,
    Json,
    Model,
    ModelsDir,
    Provider,
    print_classes,
    report_model,
    warn_of_fallback,
)
from vision_zoo.core.bounds import require_between

if TYPE_CHECKING:
    from vision_zoo.core.progress import Progress
    from vision_zoo.serving.pictures import Source

_Format = Literal["text", "csv", "json"]
_Ranked = Sequence[tuple[str, float]]
_TOP = {"text": 3, "csv": 1, "json": None}
"""Labels of an image without --top."""

_UNKNOWN = "unknown"
_ALL_UNKNOWN = 3
"""The exit code where no image has a label."""

_LONG = 100
"""Images that are worth a progress bar."""


def predict(
    context: typer.Context,
    model: Model,
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE…",
            help="Image files, folders, patterns such as 'pictures/**/*.jpg', or - for an image on stdin.",
            show_default=False,
        ),
    ] = None,
    files_from: Annotated[
        str | None,
        typer.Option(
            help="File with a name of an image or folder a line (or ended by a zero byte); - for stdin.",
            metavar="FILE",
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(help="Number of most probable labels. Default: 3; 1 in CSV, all in JSON.", min=1),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Probability, 0 to 1, below which the label is `unknown`.")
    ] = None,
    output_format: Annotated[_Format, typer.Option("--format", help="Output format.")] = "text",
    models_dir: ModelsDir = None,
    provider: Provider = "auto",
    as_json: Json = False,
) -> None:
    """Classify images.

    Exit status: 0 if an image has a label, 3 if all are `unknown`, 1 if an image cannot be used (the others are
    answered all the same), 2 for wrong arguments.
    """
    output_format = "json" if as_json else output_format
    if threshold is not None:
        require_between("threshold", threshold, 0, 1)
    lines_are_seen = output_format != "json" and sys.stdout.isatty()
    reserve_stdout(context, wanted=True)  # a progress bar would take what is printed to stderr
    from vision_zoo.core.errors import ImageError
    from vision_zoo.serving.models import find_model
    from vision_zoo.serving.predict import classify_each
    from vision_zoo.serving.session import Session

    sources = _sources(images or [], files_from)
    warn_of_fallback(provider)
    session = Session(find_model(model, models_dir), provider=provider)
    if output_format != "json":
        report_model(session.path)
    top = top or _TOP[output_format]
    document: list[dict[str, Any]] = []
    failed, known = [], 0
    if output_format == "csv":
        print_document(_csv_header(min(top or 1, len(session.metadata.labels))))
    with _progress(len(sources), lines_are_seen=lines_are_seen) as progress:
        progress.start("predict", len(sources))
        for source, answer in classify_each(session, sources, top=top):
            progress.advance()
            if isinstance(answer, ImageError):
                failed.append(answer)
                if len(sources) > 1:
                    progress.line(f"warning: {' '.join(str(answer).splitlines())}")
                continue
            label = _UNKNOWN if answer.ranked[0][1] < (threshold or 0) else answer.ranked[0][0]
            known += answer.ranked[0][1] >= (threshold or 0)
            if output_format == "json":
                entry = {"model": str(session.path), "image": source.name, "label": label}
                document.append({**entry, "probabilities": dict(answer.ranked)})
            else:
                line = _csv_row if output_format == "csv" else _text_line
                print_document(line(source.name, label, answer.ranked))
    if output_format == "json":
        print_json(document)
    if failed:
        raise (
            failed[0]
            if len(sources) == 1
            else ImageError(f"{len(failed):,} of {len(sources):,} images could not be used")
        )
    if not known:
        raise typer.Exit(_ALL_UNKNOWN)


def _sources(images: Sequence[str], files_from: str | None) -> "list[Source]":
    from vision_zoo.core.errors import ImageError, UsageError
    from vision_zoo.serving.pictures import STDIN, find_pictures, read_names

    if files_from is None and not images:
        raise UsageError("predict needs an IMAGE, or --files-from FILE")
    if files_from == STDIN and STDIN in images:
        raise UsageError("standard input holds an image (-) or names (--files-from -), not both")
    sources = find_pictures(images)
    if files_from is not None:
        sources += find_pictures(read_names(files_from), expand=False)
    if not sources:
        raise ImageError(f"{files_from} names no image; expected a file name a line")
    return sources


@contextmanager
def _progress(count: int, *, lines_are_seen: bool) -> "Iterator[Progress]":
    """A bar where it takes long, unless the answers on the same terminal show it."""
    from vision_zoo.core.progress import PlainProgress, progress_on_stderr

    if count < _LONG or lines_are_seen:
        yield PlainProgress()
        return
    with progress_on_stderr() as progress:
        yield progress


def _text_line(image: str, label: str, ranked: _Ranked) -> str:
    name = image if image.isprintable() else ascii(image)
    shown = ", ".join(f"{name}: {probability:.2%}" for name, probability in ranked)
    return f"{name}: {shown}" if label == ranked[0][0] else f"{name}: {label} ({shown})"


def _csv_header(labels: int) -> str:
    more = [f"{column}_{number}" for number in range(2, labels + 1) for column in ("label", "probability")]
    return _csv(["image", "label", "probability", *more])


def _csv_row(image: str, label: str, ranked: _Ranked) -> str:
    (_, probability), *others = ranked
    more = [cell for name, share in others for cell in (name, f"{share:.6g}")]
    # A name that is not UTF-8 stays readable, and the file valid.
    return _csv([image.encode(errors="backslashreplace").decode(), label, f"{probability:.6g}", *more])


def _csv(row: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(row)
    return text.getvalue()


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
                "top_5_accuracy": score.top_5_accuracy,
                "images": score.images,
                "classes": [asdict(one) for one in score.classes],
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
    print_classes(score.classes, score.top_5_accuracy)
    print("\nConfusion matrix (rows: true class, columns: predicted class):")
    print(render(score.table(score.labels), "table"))
