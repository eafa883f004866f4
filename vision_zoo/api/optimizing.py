"""The fastest verified version of an exported model on this machine. Needs torch, once the function is called."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vision_zoo.api.arguments import checked, optional_path, progress_shown

if TYPE_CHECKING:
    from vision_zoo.exporting.optimize import OptimizedFile


@checked
def optimize(
    model: str | Path,
    output_dir: str | Path | None = None,
    *,
    dataset: str | None = None,
    batch_sizes: Sequence[int] = (1,),
    threads: int | None = None,
    duration: float = 0.5,
    data_dir: str | Path | None = None,
    models_dir: str | Path | None = None,
    progress: bool = True,
) -> "OptimizedFile":
    """Write the fastest verified version of an exported model on this machine's CPU: int8, session options, threads.

    `model` is what `load` takes. The file is written to `output_dir`, by default beside the model: in its place, or as
    `<name>-int8.onnx`. It is verified on the test split of the dataset that it was trained on, or on the pictures of
    `dataset` `folder:PATH`. Latency is that of calls of `batch_sizes` images with at most so many `threads`, by default
    one per core; each candidate is timed for `duration` seconds a batch size in each of up to three rounds. The result
    has `path`, `options`, and the `original`, the `chosen` and all other `candidates` with latency and accuracy.

    Raises:
        UsageError: arguments that are out of range, or the model's dataset is not at hand by name.
        DataError: the data is not there.
        ExportError: the file does not run.
        MissingExtraError, ModelError, StorageError, UnknownNameError: see `core.errors`.
    """
    from vision_zoo.exporting.optimize import optimize_file
    from vision_zoo.exporting.session_search import SearchSettings
    from vision_zoo.serving.models import find_model

    settings = SearchSettings(batch_sizes=tuple(batch_sizes), threads=threads, seconds=duration)
    with progress_shown(progress) as shown:
        return optimize_file(
            find_model(str(model), optional_path(models_dir)),
            settings,
            dataset=dataset,
            data_dir=optional_path(data_dir),
            output_dir=optional_path(output_dir),
            progress=shown,
        )
