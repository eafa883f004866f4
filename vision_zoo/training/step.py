"""Training steps: new weights, the loss, and the number of correct images.

On a GPU steps are CUDA graphs, one recording per batch size, replayed with one call. Small networks leave a GPU waiting
for the host, which launches a hundred kernels a step; a replay launches them all at once. What is recorded is the eager
step itself, the optimizer's part included, so the numbers are its numbers. After
https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs.
"""

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from vision_zoo.core.choices import Arithmetic
from vision_zoo.core.environment import vector_instructions
from vision_zoo.core.progress import Progress
from vision_zoo.data.dataset import Split
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training.augment import AugmentParams, apply_augmentation
from vision_zoo.training.classifier import ImageClassifier
from vision_zoo.training.device import use_precision, wait_for
from vision_zoo.training.distributed import ALONE, World, broadcast
from vision_zoo.training.loader import Batch
from vision_zoo.training.optim import build_optimizer, loss_function, soft_cross_entropy


class StepResult(NamedTuple):
    """The mean loss of the batch, float32, and the number of its images that were right, int64: scalars on the device."""

    loss: Tensor
    correct: Tensor


Step = Callable[[Batch, AugmentParams | None], StepResult]
"""Takes a batch and what its augmentation has drawn for it, on its device, if there is one."""


class EagerStep:
    """Forward, backward and the optimizer's step, one operator after the other.

    `model` takes the batches' images, changed where there are changes, and gives logits. With several processes it
    averages their gradients, and the loss is weighted so that the average is the whole batch's mean. `class_weights` are
    float32 `[classes]`.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        *,
        here: World = ALONE,
        class_weights: Tensor | None = None,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self._here = here
        self._bf16 = recipe.precision == "bf16"
        self._loss_of = loss_function(recipe, class_weights)
        self._temperature = recipe.distillation.distil_temperature

    def __call__(self, batch: Batch, changes: AugmentParams | None) -> StepResult:
        images = batch.images if changes is None else apply_augmentation(batch.images, changes)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self._bf16):
            logits = self.model(images)
        logits = logits.float()
        if batch.targets is None:
            loss = self._loss_of(logits, batch.labels)
        else:
            loss = soft_cross_entropy(logits, batch.targets, self._temperature)
        if self._here.size > 1:
            # Gradients are averaged over processes, whose shares may differ by an image.
            loss = loss * (len(batch.labels) * self._here.size / batch.size)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        correct = (logits.detach().argmax(dim=1) == batch.labels).sum()
        return StepResult(loss.detach(), correct)


_REHEARSALS = 3


class GraphedStep:
    """A `Step` that replays a CUDA graph of `step`; the first batch of each size is recorded.

    The optimizer's learning rate becomes a tensor on the device, which a recorded step reads anew in every replay.
    A step that cannot be recorded is done eagerly from then on, which `progress` is told.
    """

    def __init__(self, step: EagerStep, progress: Progress) -> None:
        self._step = step
        self._progress = progress
        self._recorded: dict[int, _RecordedStep] = {}
        self._can_record = True
        keep_learning_rate_on_device(step.optimizer)

    def __call__(self, batch: Batch, changes: AugmentParams | None) -> StepResult:
        recorded = self._recorded.get(len(batch.labels)) or self._record(batch, changes)
        if recorded is None:
            return self._step(batch, changes)
        return recorded.replay(batch, changes)

    def _record(self, batch: Batch, changes: AugmentParams | None) -> "_RecordedStep | None":
        if not self._can_record:
            return None
        try:
            recorded = _RecordedStep(self._step, batch, changes)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self._can_record = False
            reason = str(error).strip().splitlines()[0]
            self._progress.line(
                f"warning: the step cannot be captured as a CUDA graph ({reason}); training will be slower"
            )
            return None
        self._recorded[len(batch.labels)] = recorded
        return recorded


def fastest_step(step: EagerStep, device: torch.device, here: World, progress: Progress) -> Step:
    """`step` as CUDA graphs where one process trains on a GPU; itself elsewhere."""
    return GraphedStep(step, progress) if device.type == "cuda" and here.size == 1 else step


_ROUNDS, _SECONDS = 8, 20.0
_CLEARLY_FASTER = 0.95
_BFLOAT16 = "avx512_bf16"
"""Without it bfloat16 is emulated, many times slower."""


def fastest_precision(
    classifier: ImageClassifier, recipe: Recipe, split: Split, device: torch.device, progress: Progress
) -> Arithmetic:
    """The precision whose steps are fastest on `device`, measured in turns; fp32 unless another is clearly faster.

    Weights and random numbers stay as they are. Of several processes, the first decides.
    """
    candidates = _precisions(device)
    if len(candidates) == 1:
        progress.line(f"precision fp32: this {device.type.upper()} has no other that is fast")
        return "fp32"
    seconds = _step_seconds(classifier, recipe, split, device, candidates)
    best = min(candidates, key=seconds.__getitem__)
    chosen = best if seconds[best] <= _CLEARLY_FASTER * seconds["fp32"] else "fp32"
    fastest = candidates[round(broadcast(candidates.index(chosen), device))]
    ratios = ", ".join(f"{name} {seconds[name] / seconds['fp32']:.2f}" for name in candidates[1:])
    progress.line(f"precision {fastest}: a step takes, in times of fp32, {ratios}")
    return fastest


def _precisions(device: torch.device) -> tuple[Arithmetic, ...]:
    """Those that `device` has instructions for, fp32 first."""
    if device.type == "cuda":
        return ("fp32", "tf32", "bf16") if torch.cuda.get_device_capability(device) >= (8, 0) else ("fp32",)
    return ("fp32", "bf16") if _BFLOAT16 in vector_instructions() else ("fp32",)


def _step_seconds(
    classifier: ImageClassifier,
    recipe: Recipe,
    split: Split,
    device: torch.device,
    precisions: tuple[Arithmetic, ...],
) -> dict[Arithmetic, float]:
    """The seconds of the fastest of some steps on a copy of the classifier, after one that is not counted."""
    labels = torch.from_numpy(np.array(split.labels[: recipe.batch_size])).to(device)
    images = torch.from_numpy(np.array(split.images[: recipe.batch_size])).to(device)
    batch = Batch(images, labels, len(labels))
    steps, seconds = {}, dict.fromkeys(precisions, float("inf"))
    for name in precisions:
        model = copy.deepcopy(classifier).to(device).train()
        steps[name] = EagerStep(
            model, build_optimizer(recipe, model.network), recipe.override(precision=name)
        )
    began = time.perf_counter()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        for number in range(1 + _ROUNDS):
            for name, step in steps.items():
                use_precision(name, device)
                started = time.perf_counter()
                step(batch, None)
                wait_for(device)
                took = time.perf_counter() - started
                if number:  # the first loads libraries
                    seconds[name] = min(took, seconds[name])
            if number and time.perf_counter() - began > _SECONDS:
                break
    return seconds


class _RecordedStep:
    """A step on batches of one size, at fixed addresses."""

    def __init__(self, step: EagerStep, batch: Batch, changes: AugmentParams | None) -> None:
        targets = None if batch.targets is None else batch.targets.clone()
        self._batch = batch._replace(
            images=batch.images.clone(), labels=batch.labels.clone(), targets=targets
        )
        self._changes = None if changes is None else changes.copy()
        with unchanged(step.model, step.optimizer):
            _rehearse(lambda: step(self._batch, self._changes))
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._result = step(self._batch, self._changes)

    def replay(self, batch: Batch, changes: AugmentParams | None) -> StepResult:
        self._batch.images.copy_(batch.images)
        self._batch.labels.copy_(batch.labels)
        if self._batch.targets is not None and batch.targets is not None:
            self._batch.targets.copy_(batch.targets)
        if self._changes is not None and changes is not None:
            self._changes.copy_(changes)
        self._graph.replay()
        return StepResult(self._result.loss.clone(), self._result.correct.clone())


def _rehearse(step: Callable[[], object]) -> None:
    """Let libraries set themselves up before they are recorded, on a stream of its own as recording does."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_REHEARSALS):
            step()
    torch.cuda.current_stream().wait_stream(stream)


def keep_learning_rate_on_device(optimizer: torch.optim.Optimizer) -> None:
    """Make `optimizer` read its learning rate from the device, and Adam count its steps there."""
    for group in optimizer.param_groups:
        device = group["params"][0].device
        group["lr"] = torch.tensor(float(group["lr"]), device=device)
        if "capturable" in group:
            group["capturable"] = True


@contextmanager
def unchanged(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Whatever the block trains, weights, the optimizer's moments and torch's random state are as before after it.

    The tensors stay at their addresses. Moments that the block made are left as zeros, from which the optimizers of
    `optim` start.
    """
    tensors = [*model.parameters(), *model.buffers(), *_moments(optimizer)]
    before = [tensor.detach().clone() for tensor in tensors]
    random_state = torch.get_rng_state()
    cuda_random_state = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    try:
        yield
    finally:
        known = {id(tensor) for tensor in tensors}
        with torch.no_grad():
            for tensor, value in zip(tensors, before, strict=True):
                tensor.copy_(value)
            for moment in _moments(optimizer):
                if id(moment) not in known:
                    moment.zero_()
        optimizer.zero_grad(set_to_none=True)
        torch.set_rng_state(random_state)
        if cuda_random_state is not None:
            torch.cuda.set_rng_state(cuda_random_state)


def _moments(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [
        value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)
    ]
