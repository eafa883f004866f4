"""Session options: how ONNX Runtime runs a file on the CPU, and where those in a file were the fastest."""

import platform
from dataclasses import dataclass
from typing import Any

from vision_zoo.core import onnx_runtime
from vision_zoo.core.choices import OptimizationLevel
from vision_zoo.core.environment import usable_cores, vector_instructions
from vision_zoo.core.tables import counted


@dataclass(frozen=True, kw_only=True)
class SessionOptions:
    """Options of a session on the CPU; by default those that models are served with.

    `threads` work on one call, `parallel` on different operators of it instead of on parts of one; with `spinning` they
    wait for the next call awake. `optimization` is the level of ONNX Runtime's graph optimisations.
    """

    threads: int = 1
    optimization: OptimizationLevel = "all"
    spinning: bool = False
    parallel: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.threads <= onnx_runtime.MAX_THREADS:
            raise ValueError(f"threads must be from 1 to {onnx_runtime.MAX_THREADS}")

    def make(self, *, exact_products: bool = False) -> Any:
        """The `onnxruntime.SessionOptions`; `exact_products` as in `core.onnx_runtime.session_options`."""
        return onnx_runtime.session_options(
            self.threads,
            optimization=self.optimization,
            spinning=self.spinning,
            parallel=self.parallel,
            exact_products=exact_products,
        )

    @property
    def description(self) -> str:
        """Such as `2 threads, spinning, graph optimisation extended`."""
        parts = [counted(self.threads, "thread")]
        parts += ["operators in parallel"] if self.parallel else []
        parts += ["spinning"] if self.spinning else []
        return ", ".join([*parts, f"graph optimisation {self.optimization}"])


@dataclass(frozen=True, kw_only=True)
class TunedOptions(SessionOptions):
    """Session options that were the fastest for calls of `batch_sizes` images, one call after the other.

    They were measured on a processor of the architecture `machine` with the vector `instructions` that Linux names
    (none on other systems) and so many `cores`.
    """

    batch_sizes: tuple[int, ...]
    machine: str
    instructions: tuple[str, ...]
    cores: int

    @classmethod
    def measured_here(cls, options: SessionOptions, batch_sizes: tuple[int, ...]) -> "TunedOptions":
        """`options` as those that were the fastest on this machine."""
        return cls(
            threads=options.threads,
            optimization=options.optimization,
            spinning=options.spinning,
            parallel=options.parallel,
            batch_sizes=batch_sizes,
            machine=platform.machine(),
            instructions=tuple(vector_instructions()),
            cores=usable_cores(),
        )

    @property
    def apply_here(self) -> bool:
        """Whether this machine has the same instruction set, and cores enough for the threads."""
        here = platform.machine(), tuple(vector_instructions())
        return (self.machine, self.instructions) == here and self.threads <= usable_cores()

    @property
    def measured_on(self) -> str:
        """The processor in words: `x86_64 with avx2, 2 cores`."""
        instructions = ", ".join(self.instructions)
        return (
            f"{self.machine}{f' with {instructions}' if instructions else ''}, {counted(self.cores, 'core')}"
        )
