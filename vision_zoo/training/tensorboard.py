"""The history of a run as TensorBoard scalars."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from vision_zoo.core import atomic


def write_scalars(folder: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write every column of `history` as a scalar over epochs, replacing what `folder` held.

    Raises:
        StorageError: the folder cannot be written.
    """
    from torch.utils.tensorboard import SummaryWriter

    # TensorBoard writes from a thread of its own, whose failure nobody could catch: not into the run's folder.
    with tempfile.TemporaryDirectory() as temporary:
        with SummaryWriter(temporary) as writer:
            for record in history:
                for name, value in record.items():
                    if name not in ("epoch", "steps", "seconds"):
                        writer.add_scalar(name, value, int(record["epoch"]))
        events = [(path.name, path.read_bytes()) for path in Path(temporary).iterdir()]
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in events:
        atomic.write_bytes(folder / name, content)
