"""Run an exported model on images: `predict` classifies them, `evaluate` scores a dataset."""

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vision_zoo.cli.answers import AnswerFormat, Answers
from vision_zoo.cli.document import print_json, reserve_stdout
from vision_zoo.cli.options import (
    DataDir,
    Json,
    Model,
    ModelsDir,
    Provider,
    json_or,
    print_classes,
    report_model,
    warn_of_fallback,
)
from vision_zoo.core.bounds import require_between
from vision_zoo.core.errors import ImageError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vision_zoo.core.progress import Progress
    from vision_zoo.serving.pictures import Source

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
            help="Image files, folders, glob patterns such as 'pictures/**/*.jpg', or - for an image on stdin.",
            show_default=False,
        ),
    ] = None,
    files_from: Annotated[
        str | None,
        typer.Option(
            help="File with one image or folder per line (or NUL-separated); - for stdin.",
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
    coverage: Annotated[
        float | None,
        typer.Option(
            help="Print prediction sets, which contain the true label at this rate, in %: 90, 95 or 99. Images "
            "unlike those that the model knows are `unknown`."
        ),
    ] = None,
    output_format: Annotated[AnswerFormat, typer.Option("--format", help="Output format.")] = "text",
    explain: Annotated[
        Path | None,
        typer.Option(help="Folder for heat maps (PNG) of the pixels that each label depends on."),
    ] = None,
    embeddings: Annotated[
        Path | None,
        typer.Option(
            help="File for the embeddings, in the order of the results: .npy (an array) or .npz (with the names).",
            metavar="FILE",
        ),
    ] = None,
    models_dir: ModelsDir = None,
    provider: Provider = "auto",
    as_json: Json = False,
) -> None:
    """Classify images.

    Exit status: 0 if an image has a label, 3 if all are `unknown`, 1 if an image cannot be used (all others
    are classified), 2 for wrong arguments.
    """
    output_format = json_or(output_format, "text", as_json=as_json)
    _require_usable(threshold, coverage, embeddings)
    lines_are_seen = output_format != "json" and sys.stdout.isatty()
    reserve_stdout(context, wanted=True)  # a progress bar would take what is printed to stderr
    from vision_zoo.serving.models import find_model
    from vision_zoo.serving.predict import classify_each, embedding_width
    from vision_zoo.serving.session import Session
    from vision_zoo.serving.uncertainty import require_coverage

    sources = _sources(images or [], files_from)
    warn_of_fallback(provider)
    # Several images are classified in as many calls at once as there are cores.
    threads = 1 if len(sources) > 1 else None
    session = Session(find_model(model, models_dir), provider=provider, threads=threads)
    if output_format != "json":
        report_model(session.path)
    width = None if embeddings is None else embedding_width(session)
    embedded: list[tuple[str, NDArray[np.float32]]] = []
    maps: dict[str, Path] = {}
    if explain is not None:
        from vision_zoo.core import atomic
        from vision_zoo.serving.explain import heat_map_paths, write_heat_map

        atomic.make_folder(explain)
        maps = heat_map_paths(explain, [source.name for source in sources])
    answers = Answers(
        model=session.path,
        classes=len(session.metadata.labels),
        output_format=output_format,
        top=top,
        threshold=threshold or 0,
        with_sets=coverage is not None,
    )
    failed = []
    require_coverage(session, coverage)
    answers.begin()
    with _progress(len(sources), lines_are_seen=lines_are_seen) as progress:
        progress.start("predict", len(sources), "images")
        for source, answer in classify_each(session, sources, top=answers.top, coverage=coverage):
            progress.advance()
            if isinstance(answer, ImageError):
                failed.append(answer)
                if len(sources) > 1:
                    progress.line(f"warning: {' '.join(str(answer).splitlines())}")
                continue
            if width is not None and answer.embedding is not None:
                embedded.append((source.name, answer.embedding))
            if source.name in maps:
                write_heat_map(maps[source.name], session, answer.pixels)
            answers.add(source.name, answer, explanation=maps.get(source.name))
    if embeddings is not None and width is not None:
        _write_embeddings(embeddings, embedded, width)
    answers.end()
    if failed:
        raise (
            failed[0]
            if len(sources) == 1
            else ImageError(f"{len(failed):,} of {len(sources):,} images could not be used")
        )
    if not answers.known:
        raise typer.Exit(_ALL_UNKNOWN)


def _write_embeddings(path: Path, embedded: "Sequence[tuple[str, NDArray[np.float32]]]", width: int) -> None:
    """Write float32 `[images, width]`; in .npz as `embeddings`, beside the images' `names`."""
    import numpy as np

    from vision_zoo.core import atomic

    rows = np.array([row for _, row in embedded], dtype=np.float32).reshape(-1, width)
    content = io.BytesIO()
    if path.suffix == ".npy":
        np.save(content, rows)
    else:
        np.savez(content, names=np.array([name for name, _ in embedded], dtype=np.str_), embeddings=rows)
    atomic.write_bytes(path, content.getvalue())


def _sources(images: Sequence[str], files_from: str | None) -> "list[Source]":
    from vision_zoo.serving.pictures import STDIN, find_pictures, read_names

    if files_from is None and not images:
        raise UsageError("predict needs an IMAGE, or --files-from FILE")
    if files_from == STDIN and STDIN in images:
        raise UsageError("standard input can be an image (-) or a list of names (--files-from -), not both")
    sources = find_pictures(images)
    if files_from is not None:
        sources += find_pictures(read_names(files_from), expand=False)
    if not sources:
        raise ImageError(f"{files_from} lists no image; expected one file name per line")
    return sources


def _require_usable(threshold: float | None, coverage: float | None, embeddings: Path | None) -> None:
    for option, value, most in (("--threshold", threshold, 1), ("--coverage", coverage, 100)):
        if value is not None:
            require_between(option, value, 0, most)
    if embeddings is not None and embeddings.suffix not in (".npy", ".npz"):
        raise UsageError(f"--embeddings {embeddings} is no .npy or .npz file; expected one of them")


@contextmanager
def _progress(count: int, *, lines_are_seen: bool) -> "Iterator[Progress]":
    """A bar where it takes long, unless the answers on the same terminal show it."""
    from vision_zoo.core.progress import PlainProgress, progress_on_stderr

    if count < _LONG or lines_are_seen:
        yield PlainProgress()
        return
    with progress_on_stderr() as progress:
        yield progress


def evaluate(
    model: Model,
    dataset: Annotated[
        str | None,
        typer.Option(
            help=(
                "Name from `vision-zoo list datasets`, or folder:PATH. Default: the dataset that the model was "
                "trained on."
            )
        ),
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option(
            help="CSV file with the test images of folder:PATH, such as a run's split.csv. Default: the folder's."
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
        score = evaluate_dataset(session, chosen, data_dir=data_dir, progress=progress, split_file=split)
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
