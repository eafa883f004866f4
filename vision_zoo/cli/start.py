"""Commands to start with: `quickstart` and `list`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vision_zoo.cli.document import print_json
from vision_zoo.cli.options import Json, ModelsDir
from vision_zoo.core.choices import EntryKind

if TYPE_CHECKING:
    from vision_zoo.core.registry import NamedEntry, Registry


def quickstart(
    out: Annotated[Path, typer.Option(help="Folder for all output.")] = Path("runs/quickstart"),
    as_json: Json = False,
) -> None:
    """Train, export, verify, measure and run a digit classifier in a minute."""
    from vision_zoo.core.progress import progress_on_stderr
    from vision_zoo.core.tables import render
    from vision_zoo.experiments.quickstart import next_steps, summary
    from vision_zoo.experiments.quickstart import quickstart as run_quickstart

    with progress_on_stderr() as progress:
        result = run_quickstart(out, progress)
    if as_json:
        print_json(result)
        return
    print(render(summary(result), "table", title="vision-zoo quickstart"))
    print("\nNext steps:")
    for command in next_steps(result):
        print(f"  {command}")


def list_entries(
    kind: Annotated[
        EntryKind,
        typer.Argument(
            metavar="KIND", help="recipes, architectures, datasets or models.", show_default=False
        ),
    ],
    models_dir: ModelsDir = None,
    as_json: Json = False,
) -> None:
    """List recipes, architectures, datasets or models."""
    from vision_zoo.core.tables import render

    entries = _listing(kind, models_dir)
    if as_json:
        print_json(entries)
    elif entries:
        print(render(_table(kind, entries), "table"))
    else:
        print("no models found; train one and export it", file=sys.stderr)


Entry = dict[str, Any]


def _listing(kind: EntryKind, models_dir: Path | None = None) -> list[Entry]:
    """The entries of `kind`, each a mapping with at least `name`."""
    kinds: dict[EntryKind, Callable[[], list[Entry]]] = {
        "recipes": _recipes,
        "architectures": _architectures,
        "datasets": _datasets,
        "models": lambda: _models(models_dir),
    }
    return kinds[kind]()


def _table(kind: EntryKind, entries: list[Entry]) -> list[Entry]:
    """The columns of `entries` that fit on a terminal."""
    columns = {
        "recipes": ("name", "report", "reported_accuracy", "epochs", "title"),
        "architectures": ("name", "description"),
        "datasets": ("name", "classes", "size", "train_images", "test_images", "title"),
        "models": ("name", "dataset", "accuracy", "size", "path"),
    }[kind]
    return [{column: _shown(entry, column) for column in columns} for entry in entries]


def _shown(entry: Entry, column: str) -> Any:
    if column == "reported_accuracy":
        reported = entry["reported"].get("test_accuracy")
        return None if reported is None else f"{reported:.2%}"
    if column == "classes":
        return len(entry["labels"])
    if column == "size" and "height" in entry:
        return f"{entry['height']} x {entry['width']} x {entry['channels']}"
    if column == "size":
        return f"{entry['bytes'] / 2**20:.2f} MiB" if "bytes" in entry else None
    if column == "accuracy":
        return f"{entry['test_accuracy']:.2%}" if "test_accuracy" in entry else "unusable"
    return entry.get(column)


def _usable(registry: "Registry[NamedEntry]") -> "list[NamedEntry]":
    """The entries of vision-zoo and of plug-ins; what is wrong with a plug-in is said on stderr."""
    entries, faults = registry.entries()
    for fault in faults:
        print(f"warning: {fault}", file=sys.stderr)
    return list(entries.values())


def _recipes() -> list[Entry]:
    from vision_zoo.recipes import REGISTRY

    return [
        {
            "name": recipe.name,
            "title": recipe.title,
            "architecture": recipe.architecture,
            "dataset": recipe.data.dataset,
            "report": recipe.report,
            "reported": dict(recipe.reported),
            "parameters": recipe.parameters,
            "epochs": recipe.stopping.epochs,
            "batch_size": recipe.batch_size,
            "optimizer": recipe.optimizer.kind,
            "learning_rate": recipe.optimizer.learning_rate,
        }
        for recipe in _usable(REGISTRY)
    ]


def _architectures() -> list[Entry]:
    from vision_zoo.architectures import REGISTRY

    return [{"name": entry.name, "description": entry.description} for entry in _usable(REGISTRY)]


def _datasets() -> list[Entry]:
    from vision_zoo.data import REGISTRY

    return [
        {
            "name": dataset.name,
            "title": dataset.title,
            "labels": list(dataset.labels),
            "channels": dataset.input.channels,
            "height": dataset.input.height,
            "width": dataset.input.width,
            "train_images": dataset.train_images,
            "test_images": dataset.test_images,
        }
        for dataset in _usable(REGISTRY)
    ]


def _models(models_dir: Path | None) -> list[Entry]:
    from vision_zoo.core.errors import ModelError
    from vision_zoo.serving.models import list_models
    from vision_zoo.serving.session import Session

    entries = []
    for name, path in list_models(models_dir).items():
        entry: Entry = {"name": name, "path": str(path)}
        try:
            session = Session(path, provider="cpu")
        except ModelError as error:
            entry["error"] = str(error)
        else:
            metadata = session.metadata
            entry |= {
                "recipe": metadata.recipe,
                "architecture": metadata.architecture,
                "dataset": metadata.dataset,
                "precision": metadata.precision,
                "parameters": metadata.parameters,
                "test_accuracy": metadata.test_accuracy,
                "test_images": metadata.test_images,
                "bytes": session.size,
            }
        entries.append(entry)
    return entries
