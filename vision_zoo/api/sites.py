"""A static site of exported models."""

from pathlib import Path
from typing import TYPE_CHECKING

from vision_zoo.api.arguments import checked, optional_path, progress_shown
from vision_zoo.core.errors import UsageError

if TYPE_CHECKING:
    from vision_zoo.experiments.site import Site


@checked
def site(
    folder: str | Path,
    *,
    models_dir: str | Path | None = None,
    bench: str | Path | None = None,
    results_dir: str | Path | None = None,
    title: str = "Model zoo",
    runtime: str | Path | None = None,
    progress: bool = True,
) -> "Site":
    """Write a static site of the models in `models_dir`, by default all at hand: a table, and pages of each model.

    The site works from disk and on any web server; each model has a page to try it in the browser. Latencies come from
    `bench`, a file of `vision-zoo bench --format json`, and from `results_dir`, by default that of the shipped models.
    ONNX Runtime Web is fetched once with npm, unless `runtime` is a folder with the unpacked npm package. The result has
    `path`, `page`, `size` in bytes and the names `models`. Needs no torch.

    Raises:
        UsageError: `results_dir` is no folder.
        StorageError: `folder` has files that are no part of a site, or cannot be written; it stays as it was.
        WebRuntimeError: ONNX Runtime Web cannot be fetched, or `runtime` does not hold it.
        MissingExtraError: it has to be fetched, and there is no npm.
        RunError: `bench` or a file of results is missing or damaged.
        ModelError: there is no model, or one of them cannot be used.
    """
    from vision_zoo.core.results import shipped_results
    from vision_zoo.experiments.site import write_site
    from vision_zoo.serving.models import find_models

    results = optional_path(results_dir)
    if results is not None and not results.is_dir():
        raise UsageError(
            f"{results} is not a folder; expected one with results, as `vision-zoo reproduce` writes"
        )
    with progress_shown(progress) as shown:
        return write_site(
            Path(folder),
            find_models([], optional_path(models_dir)),
            shown,
            results_dir=results or shipped_results(),
            bench_file=optional_path(bench),
            title=title,
            runtime_folder=optional_path(runtime),
        )
