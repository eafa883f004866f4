"""The contract between training and serving: one ONNX file that carries all that serving needs.

Input `image`: uint8 `[batch, height, width, channels]` with a dynamic batch. Outputs `logits` and
`probabilities`: float32 `[batch, classes]`; in some files also `embeddings`: float32 `[batch, width]`.
Casting, normalisation and layout changes are inside the graph. The metadata is one JSON value under
`METADATA_KEY`.
"""

import json
import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Protocol, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from vision_zoo.artifact.calibration import Calibration
from vision_zoo.artifact.session_options import TunedOptions
from vision_zoo.core.choices import Precision
from vision_zoo.core.errors import ModelError
from vision_zoo.images.preprocess import InputFormat

METADATA_KEY = "vision_zoo"
SCHEMA_VERSION = 1
INPUT_NAME = "image"
OUTPUT_NAMES = ("logits", "probabilities")
"""The outputs that every file has."""

EMBEDDINGS = "embeddings"
"""The output with what the last dense layer takes, in files that were exported with it."""

SUFFIX = ".onnx"
MAX_LABELS = 65_536
MAX_TEXT = 1000
"""Characters of a label, a name or any other text in the metadata."""
_NOT_IN_A_LINE = frozenset({"Cc", "Cs", "Zl", "Zp"})

PRECISIONS: tuple[Precision, ...] = get_args(Precision)


def file_name(recipe: str, precision: str) -> str:
    """The file of a recipe's model: `<recipe>.onnx`, or `<recipe>-int8.onnx` for another precision than fp32."""
    return f"{recipe}{'' if precision == 'fp32' else f'-{precision}'}{SUFFIX}"


def energy(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """ln(sum(exp(logits))) over the last axis: float32 `[..., classes]` to float64 `[...]`.

    It is low where no class stands out (Liu et al. 2020, "Energy-based out-of-distribution detection").
    """
    largest = logits.max(axis=-1, keepdims=True).astype(np.float64)
    found: NDArray[np.float64] = largest[..., 0] + np.log(np.exp(logits - largest).sum(axis=-1))
    return found


class TensorInfo(Protocol):
    """What ONNX Runtime tells of a model's input or output."""

    @property
    def name(self) -> str: ...

    @property
    def type(self) -> str: ...

    @property
    def shape(self) -> Sequence[int | str | None]: ...


_JSON_NAMES = {"ood_energy_threshold": "familiar_energy"}
"""The keys of fields in JSON that are not the names of the fields; published files have them."""
_LEFT_OUT = {
    "embeddings": None,
    "refitted": False,
    "calibration": None,
    "full_range": False,
    "session_options": None,
    "settings": None,
}
"""Fields that are left out of JSON at these values: files without them stay as they always were."""
_FIELD_NAMES = {key: name for name, key in _JSON_NAMES.items()}


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """The metadata of an exported file.

    `test_accuracy` is a fraction of `test_images`, measured with this graph; `macs` are multiply-accumulate operations
    for one image; `precision` is what the graph computes in and `weights` how the file stores large weights;
    `architecture_arguments` are those that the input format does not give; `data_variant` is the dataset's copy that
    the metrics refer to. `ood_energy_threshold` is the 2nd percentile of `energy` over the test images. `embeddings` is
    the width of the output of that name, None without one. `refitted` says that the file was fitted to the test images,
    too, after those two were measured without them. `calibration` is None for files that were not calibrated.
    `full_range` says that 8-bit weights have all 8 bits, `session_options` how the file runs fastest, where that was
    measured. `settings` are those of the recipe that it was trained with, without defaults; None in older files.
    """

    recipe: str
    architecture: str
    dataset: str
    labels: tuple[str, ...]
    input: InputFormat
    precision: str
    opset: int
    parameters: int
    macs: int
    test_accuracy: float
    test_images: int
    data_variant: str
    architecture_arguments: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    weights: str = "fp32"
    ood_energy_threshold: float | None = None
    embeddings: int | None = None
    refitted: bool = False
    calibration: Calibration | None = None
    full_range: bool = False
    session_options: TunedOptions | None = None
    settings: Mapping[str, Any] | None = None

    @cached_property
    def outputs(self) -> dict[str, int]:
        """The graph's outputs, float32 `[batch, width]`, by name: their widths, in the graph's order."""
        own = {} if self.embeddings is None else {EMBEDDINGS: self.embeddings}
        return dict.fromkeys(OUTPUT_NAMES, len(self.labels)) | own

    def to_dict(self) -> dict[str, Any]:
        """The fields by their keys in JSON."""
        fields = asdict(self)
        for name, default in _LEFT_OUT.items():
            if fields[name] is default:
                del fields[name]
        return {_JSON_NAMES.get(name, name): value for name, value in fields.items()}

    def to_json(self) -> str:
        """The JSON text that goes under `METADATA_KEY`."""
        return json.dumps({"schema": SCHEMA_VERSION, **self.to_dict()}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, *, name: str) -> "Metadata":
        """Parse what `to_json` wrote; ModelError for no such JSON, another schema version or missing fields."""
        try:
            value = json.loads(text)
            schema = value.pop("schema")
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            raise ModelError(f"{name} has unreadable vision-zoo metadata; export the model again") from error
        if schema != SCHEMA_VERSION:
            raise ModelError(
                f"{name} has metadata of schema {schema!r}, expected {SCHEMA_VERSION}; "
                "export it again with this version or upgrade vision-zoo"
            )
        try:
            _check_values(value)
            metadata = msgspec.convert(
                {_FIELD_NAMES.get(key, key): entry for key, entry in value.items()}, cls
            )
        except (ValueError, msgspec.ValidationError) as error:
            raise ModelError(f"{name} has incomplete metadata ({error}); export the model again") from error
        if not metadata.labels or len(set(metadata.labels)) != len(metadata.labels):
            raise ModelError(f"{name} has no labels or the same label twice; export the model again")
        if not all(metadata.labels):
            raise ModelError(f"{name} has an empty label; export the model again")
        if len(metadata.labels) > MAX_LABELS:
            raise ModelError(f"{name} has {len(metadata.labels)} labels, expected at most {MAX_LABELS}")
        return metadata


def _check_values(value: Any) -> None:
    """Refuse what cannot be written as JSON, as one line of a log or as a label of a metric."""
    if isinstance(value, str):
        if len(value) > MAX_TEXT or not is_one_line(value):
            raise ValueError(f"{value!a:.60} is not a single line of at most {MAX_TEXT} characters")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is not a number")
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"a number of {value.bit_length()} bits is too large")
    elif isinstance(value, dict):
        for key, entry in value.items():
            _check_values(key)
            _check_values(entry)
    elif isinstance(value, list):
        for entry in value:
            _check_values(entry)


def is_one_line(text: str) -> bool:
    """Whether `text` has no line breaks, control characters or unpaired surrogates."""
    return not any(unicodedata.category(letter) in _NOT_IN_A_LINE for letter in text)


def metadata_of(properties: Mapping[str, str], *, name: str) -> Metadata:
    """The metadata among a model's custom properties; ModelError if there is none or it cannot be used."""
    if METADATA_KEY not in properties:
        raise ModelError(
            f"{name} has no vision-zoo metadata; expected a file written by `vision-zoo export`: export the model with it"
        )
    return Metadata.from_json(properties[METADATA_KEY], name=name)


def check_signature(
    inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo], metadata: Metadata, *, name: str
) -> None:
    """Raise ModelError for a graph with another number, name, type or shape of inputs and outputs than the contract's."""
    expected = [(INPUT_NAME, "tensor(uint8)", list(metadata.input.shape))]
    expected += [(output, "tensor(float)", [width]) for output, width in metadata.outputs.items()]
    found = [(entry.name, entry.type, list(entry.shape)[1:]) for entry in (*inputs, *outputs)]
    if found != expected or len(inputs) != 1:
        raise ModelError(
            f"{name} has inputs and outputs {_describe(found)}, expected {_describe(expected)}; export the model again"
        )
    for entry in (*inputs, *outputs):
        if isinstance(entry.shape[0], int):
            raise ModelError(
                f"{name} has a fixed batch size of {entry.shape[0]}, expected a dynamic one; export the model again"
            )


def _describe(tensors: Sequence[tuple[str, str, list[Any]]]) -> str:
    return ", ".join(f"{name} {kind}[batch, {', '.join(map(str, shape))}]" for name, kind, shape in tensors)
