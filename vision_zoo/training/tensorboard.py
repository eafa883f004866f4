"""The history of a run as TensorBoard scalars."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from vision_zoo import atomic


def write_scalars(folder: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write every column of `history` as a scalar over epochs, replacing what `folder` held.

    Raises:
        StorageError: the folder cannot be written.
    """
    from torch.utils.tensorboard import SummaryWriter

    atomic.make_folder(folder.parent)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with SummaryWriter(folder) as writer:
            for record in history:
                for name, value in record.items():
                    if name not in ("epoch", "seconds"):
                        writer.add_scalar(name, value, int(record["epoch"]))
    except OSError as error:
        raise atomic.storage_error(folder, error) from error
