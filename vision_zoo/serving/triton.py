"""Export to a model repository for NVIDIA Triton Inference Server. Needs only the standard library.

<folder>/<model>/config.pbtxt
<folder>/<model>/labels.txt
<folder>/<model>/1/model.onnx
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from vision_zoo.artifact.metadata import INPUT_NAME, OUTPUT_NAMES, Metadata
from vision_zoo.core import atomic
from vision_zoo.core.errors import StorageError
from vision_zoo.serving.session import Session

MAX_BATCH_SIZE = 64
_QUEUE_MICROSECONDS = 500
"""How long a request waits for others to share a batch with: of the order of one run of these models."""


def write_model(folder: Path, name: str, content: bytes, metadata: Metadata) -> Path:
    """Add an exported file to the repository in `folder` as version 1 of `name`; return the model's folder.

    Raises StorageError if the folder cannot be written.
    """
    target = folder / name
    files: Mapping[Path, bytes] = {
        target / "1" / "model.onnx": content,
        target / "labels.txt": "".join(f"{label}\n" for label in metadata.labels).encode(),
        target / "config.pbtxt": config(name, metadata).encode(),
    }
    try:
        atomic.make_folder(target / "1")
        atomic.write_together(files)
    except StorageError:
        for empty in (target / "1", target):  # Triton refuses a repository with a model without a file
            with suppress(OSError):
                empty.rmdir()
        raise
    return target


def add_model(folder: Path, path: Path) -> Path:
    """Add the exported file `path`, verified against its manifest, to the repository in `folder`.

    Raises ModelError if the file cannot be used, StorageError if the folder cannot be written.
    """
    session = Session(path, provider="cpu")
    return write_model(folder, session.name, path.read_bytes(), session.metadata)


def config(name: str, metadata: Metadata) -> str:
    """`config.pbtxt`: Triton's ModelConfig in protobuf's text format. Shapes leave out the batch."""
    labels = '\n    label_filename: "labels.txt"'
    outputs = ",\n".join(
        f"""  {{
    name: {_text(output)}
    data_type: TYPE_FP32
    dims: [ {width} ]{labels * (output in OUTPUT_NAMES)}
  }}"""
        for output, width in metadata.outputs.items()
    )
    return f"""name: {_text(name)}
platform: "onnxruntime_onnx"
max_batch_size: {MAX_BATCH_SIZE}
input [
  {{
    name: {_text(INPUT_NAME)}
    data_type: TYPE_UINT8
    dims: [ {", ".join(map(str, metadata.input.shape))} ]
  }}
]
output [
{outputs}
]
dynamic_batching {{
  max_queue_delay_microseconds: {_QUEUE_MICROSECONDS}
}}
parameters {{
  key: "intra_op_thread_count"
  value: {{ string_value: "1" }}
}}
"""


def _text(value: str) -> str:
    # Both formats escape quotes, backslashes and control characters alike.
    return json.dumps(value)
