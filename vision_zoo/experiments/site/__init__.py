"""A static site of exported models: a table, a page for each model, and one to try it in the browser.

    index.html               the table, and accuracy against latency
    models/<model>.html      what there is to know of a model
    try/<model>.html, .js    the page of `export --html`; its model
    try/onnxruntime-web.js   ONNX Runtime Web, once for all of them
    site.json                the files of the site

Needs no torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_zoo.core import atomic
from vision_zoo.core.errors import UsageError
from vision_zoo.core.progress import Progress
from vision_zoo.experiments.site import pages
from vision_zoo.experiments.site.entries import SiteModel, entry_of, file_names
from vision_zoo.experiments.site.folder import replacing
from vision_zoo.experiments.site.measurements import Benchmark, load_benchmarks
from vision_zoo.serving.session import Session
from vision_zoo.serving.web import page as web_page
from vision_zoo.serving.web import runtime

__all__ = ["Site", "write_site"]

TITLE = "Model zoo"
_RUNTIME = "onnxruntime-web.js"


@dataclass(frozen=True)
class Site:
    """A written site: `page` is where it begins, `size` is in bytes, `models` are the names of those in it."""

    path: Path
    page: Path
    size: int
    models: tuple[str, ...]


def write_site(
    folder: Path,
    models: Sequence[Path],
    progress: Progress,
    *,
    results_dir: Path,
    bench_file: Path | None = None,
    title: str = TITLE,
    runtime_folder: Path | None = None,
) -> Site:
    """Write the site of the exported `models`, each verified against its manifest, as `folder`: whole or not at all.

    Latencies are those that `results_dir` and `bench_file`, from `bench --format json`, have of these very files. ONNX
    Runtime Web comes from `runtime_folder`, or is fetched once with npm.

    Raises:
        UsageError: no model, or two of one name.
        StorageError: `folder` has files that are no site's, or cannot be written.
        ModelError: a file cannot be used.
        RunError: a file of results is damaged.
        WebRuntimeError, MissingExtraError: as `load_runtime`.
    """
    names = file_names(path.stem for path in models)
    if not names or len(names) < len(models):
        raise UsageError(f"a site needs models of different names; got {', '.join(names) or 'none'}")
    benchmarks = load_benchmarks(results_dir, bench_file)
    with replacing(folder) as target:
        _write_runtime(target / "try" / _RUNTIME, runtime_folder)
        entries = []
        progress.start("writing", len(models), "models")
        for path in models:
            entries.append(_write_model(target, path, names[path.stem], benchmarks, results_dir))
            progress.advance()
        for entry in entries:
            atomic.write_text(target / "models" / f"{entry.file_name}.html", pages.card(entry, title))
        atomic.write_text(target / "index.html", pages.index(entries, benchmarks, title))
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return Site(folder, folder / "index.html", size, tuple(names))


def _write_runtime(path: Path, runtime_folder: Path | None) -> None:
    blocks = web_page.runtime_blocks(runtime.load_runtime(runtime_folder))
    atomic.write_text(path, f"/* {web_page.runtime_licence()} */\n{web_page.block_script(blocks)}")


def _write_model(
    target: Path, path: Path, name: str, benchmarks: Sequence[Benchmark], results_dir: Path
) -> SiteModel:
    """Write the page to try a model on, and the model for it."""
    session = Session(path, provider="cpu")
    blocks = web_page.model_blocks([session])
    atomic.write_text(target / "try" / f"{name}.js", web_page.block_script(blocks))
    text = web_page.page_text(
        [session],
        {},
        scripts=[_RUNTIME, f"{name}.js"],
        links={"About": f"../models/{name}.html", "All models": "../index.html"},
    )
    atomic.write_text(target / "try" / f"{name}.html", text)
    return entry_of(session, name, benchmarks, results_dir)
