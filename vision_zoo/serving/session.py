"""An exported model, ready for prediction."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_zoo.artifact import manifest
from vision_zoo.artifact.familiarity import FAMILIARITY_KEY, Gaussians
from vision_zoo.artifact.metadata import INPUT_NAME, check_signature, energy, metadata_of
from vision_zoo.artifact.session_options import SessionOptions
from vision_zoo.core import onnx_runtime, regular_file
from vision_zoo.core.bounds import require_between
from vision_zoo.core.errors import ModelError, UsageError
from vision_zoo.core.onnx_runtime import BATCH, MAX_THREADS
from vision_zoo.core.progress import Progress
from vision_zoo.serving.providers import EXECUTION_PROVIDERS, check_running, execution_providers

MAX_BYTES = 512 * 2**20
"""Of a model's file. The largest of these architectures has half of it."""

_READINGS = 10


@dataclass(frozen=True, eq=False)
class Prediction:
    """`logits` and `probabilities` float32 `[batch, classes]`; `embeddings` `[batch, width]` where the file has them."""

    logits: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    embeddings: NDArray[np.float32] | None = None

    @property
    def classes(self) -> NDArray[np.int64]:
        """The most probable class index of each image, `[batch]`."""
        classes: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return classes

    def top(self, count: int | None = None) -> NDArray[np.int64]:
        """The `count` most probable class indices of each image, the best first: `[batch, count]`; all without it."""
        return ranking(self.probabilities, count)

    def rows(self, first: int, last: int) -> "Prediction":
        """The part of images `first` to `last`, without the last."""
        embeddings = None if self.embeddings is None else self.embeddings[first:last]
        return Prediction(self.logits[first:last], self.probabilities[first:last], embeddings)

    def labelled(
        self, labels: Sequence[str], count: int | None = None
    ) -> list[tuple[tuple[str, float], ...]]:
        """The `count` most probable labels of each image with their probabilities, the best first; all without it."""
        return [
            tuple((labels[index], float(row[index])) for index in best)
            for row, best in zip(self.probabilities, self.top(count), strict=True)
        ]


def ranking(values: NDArray[np.float32], count: int | None = None) -> NDArray[np.int64]:
    """The indices of the `count` largest of `values` `[batch, classes]`: `[batch, count]`; equal ones in their order."""
    order: NDArray[np.int64] = (-values).argsort(axis=1, kind="stable")[:, :count]
    return order


class Session:
    """A model in ONNX Runtime, verified against its manifest and the artifact contract. Safe for several threads.

    `name` is that of the file without its suffix, `metadata` is the file's, `numbers` is how many an image's outputs are,
    `gaussians` are those of familiar images where it has some, `provider` is the execution provider that really runs,
    `size` and `sha256` are of the file's bytes, `verified` says whether a manifest lists them.
    `options` are the session options that it runs with, `tuned` says whether they are the file's.

    Args:
        path: of the `.onnx` file.
        provider: `auto`, `cpu`, `cuda` or `tensorrt`.
        threads: within one operator. Without them the session options of the file count on the CPU, where they apply
            here; else it is one thread, which is fastest for small models.
        sha256: of the only content that is loaded, if given.

    Raises:
        ModelError: missing, damaged or foreign file, or not the one its manifest or `sha256` says.
        DeviceError: the provider was asked for by name and cannot run.
    """

    def __init__(
        self, path: Path, *, provider: str = "auto", threads: int | None = None, sha256: str | None = None
    ) -> None:
        if threads is not None:
            require_between("threads", threads, 1, MAX_THREADS)
        self.path = path
        self.name = path.stem
        content, self.verified = _verified(path)
        self.size = len(content)
        self.sha256 = hashlib.sha256(content).hexdigest()
        if sha256 not in (None, self.sha256):
            raise ModelError(f"{path} was replaced while it was loaded; load it again")
        self._asked_for = provider
        self.options = SessionOptions(threads=threads or 1)
        self._session = _load(path, content, provider, self.options.make())
        self.provider: str = self._session.get_providers()[0]
        try:
            properties: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        except (UnicodeDecodeError, RuntimeError) as error:
            raise ModelError(f"{path} has damaged metadata; restore it or export the model again") from error
        self.metadata = metadata_of(properties, name=str(path))
        check_signature(
            self._session.get_inputs(), self._session.get_outputs(), self.metadata, name=str(path)
        )
        described = properties.get(FAMILIARITY_KEY)
        self.gaussians = (
            None
            if described is None
            else Gaussians.from_json(described, len(self.metadata.labels), name=str(path))
        )
        stored = self.metadata.session_options
        on_cpu = self.provider == EXECUTION_PROVIDERS["cpu"]
        self.tuned = threads is None and on_cpu and stored is not None and stored.apply_here
        if self.tuned and stored is not None:
            self.options = stored
        if self.tuned or self.metadata.full_range:
            del self._session  # first: a check of new files is limited in memory
            self._session = _load(path, content, provider, self._runtime_options())
        self._shape = self.metadata.input.shape
        self._outputs = list(self.metadata.outputs)
        self.numbers = sum(self.metadata.outputs.values())
        self._run = self._session.run

    def predict(self, images: NDArray[np.uint8]) -> Prediction:
        """Classify images, uint8 `[batch, height, width, channels]`.

        Raises:
            UsageError: another dtype or shape, or an empty batch.
            ModelError: the graph fails.
        """
        if images.dtype != np.uint8 or images.shape[1:] != self._shape or not len(images):
            expected = ", ".join(map(str, self._shape))
            raise UsageError(
                f"{self.name} takes uint8 images [batch of 1 or more, {expected}], "
                f"not {images.dtype} {list(images.shape)}"
            )
        try:
            outputs = self._run(self._outputs, {INPUT_NAME: images})
        except Exception as error:  # onnxruntime's errors share no base class
            raise ModelError(f"{self.path} cannot be run by ONNX Runtime; export the model again") from error
        return Prediction(*outputs)

    def are_familiar(
        self, images: NDArray[np.uint8], logits: NDArray[np.float32]
    ) -> NDArray[np.bool_] | None:
        """Whether images `[n, …]` with these logits are like those that the model knows: `[n]`.

        By the file's Gaussians, else by their energy; None where it has neither. False says that an image is unusual to
        the model, not that its label is wrong.
        """
        if self.gaussians is not None:
            return self.gaussians.are_familiar(images, logits)
        least = self.metadata.ood_energy_threshold
        return None if least is None else energy(logits) >= least

    def predict_all(
        self, images: NDArray[np.uint8], *, batch_size: int = BATCH, progress: Progress | None = None
    ) -> Prediction:
        """Classify any number of images, uint8 `[n, height, width, channels]`, in batches of at most `batch_size`.

        `progress` is told how many are done. Raises as `predict`, and UsageError if `batch_size` is below 1.
        """
        return self.predict_batches(onnx_runtime.batches(images, batch_size), progress=progress)

    def predict_batches(
        self, batches: Iterable[NDArray[np.uint8]], *, progress: Progress | None = None
    ) -> Prediction:
        """Classify batches one after the other into one prediction of all images; raises as `predict`."""
        predictions = []
        for batch in batches:
            predictions.append(self.predict(batch))
            if progress is not None:
                progress.advance(len(batch))
        outputs = ([getattr(prediction, name) for prediction in predictions] for name in self._outputs)
        return Prediction(*map(np.concatenate, outputs))

    def run_once(self) -> None:
        """Classify a black image, so that no request pays for the first run; ModelError if the model fails."""
        prediction = self.predict(np.zeros((1, *self._shape), dtype=np.uint8))
        if not all(np.isfinite(getattr(prediction, name)).all() for name in self._outputs):
            raise ModelError(f"{self.path} returns non-finite values; export the model again")

    def runtime(self) -> Any:
        """The `onnxruntime.InferenceSession` itself, for benchmarks."""
        return self._session

    def with_options(self, options: Any, *, provider_options: Mapping[str, str] | None = None) -> Any:
        """Another `onnxruntime.InferenceSession` of the same file; `provider_options` are the first provider's."""
        return _load(self.path, _read(self.path), self._asked_for, options, provider_options)

    def profiled(self, prefix: Path) -> Any:
        """An `onnxruntime.InferenceSession` of the same file that writes a profile beginning with `prefix`."""
        options = self._runtime_options()
        options.enable_profiling = True
        options.profile_file_prefix = str(prefix)
        return self.with_options(options)

    def _runtime_options(self) -> Any:
        return self.options.make(exact_products=self.metadata.full_range)


def _verified(path: Path) -> tuple[bytes, bool]:
    """The file's content, and whether a manifest lists it."""
    content = _read(path)
    for _ in range(_READINGS):
        try:
            return content, manifest.verify(path, content)
        except ModelError:
            # Between the two readings an export may have replaced both.
            former, content = content, _read(path)
            if content == former:
                raise
    return content, manifest.verify(path, content)


def _read(path: Path) -> bytes:
    try:
        content = regular_file.read(path, max_bytes=MAX_BYTES)
    except FileNotFoundError as error:
        raise ModelError(f"{path} does not exist; `vision-zoo list models` lists all models") from error
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}; expected an ONNX file") from error
    if not content:
        raise ModelError(f"{path} is empty; restore it or export the model again")
    return content


def _load(
    path: Path, content: bytes, provider: str, options: Any, provider_options: Mapping[str, str] | None = None
) -> Any:
    first, *others = execution_providers(provider)
    # CUDA rounds products to TF32 unless it is told not to: another answer than the one that was verified.
    numerics = {"use_tf32": "0"} if first == EXECUTION_PROVIDERS["cuda"] else {}
    try:
        session = onnx_runtime.make_session(
            content, options, providers=[(first, {**numerics, **(provider_options or {})}), *others]
        )
    except Exception as error:  # onnxruntime's errors share no base class
        raise ModelError(
            f"{path} is not an ONNX file that ONNX Runtime can load; restore it or export the model again"
        ) from error
    check_running(provider, session.get_providers())
    return session
