"""Settings of a benchmark, checked before anything is loaded."""

from dataclasses import dataclass

from vision_zoo.artifact.metadata import PRECISIONS
from vision_zoo.core.bounds import require_between, require_choice
from vision_zoo.core.errors import UsageError
from vision_zoo.core.onnx_runtime import MAX_THREADS
from vision_zoo.core.scenarios import MAX_BATCH, MAX_SECONDS, SCENARIOS
from vision_zoo.serving.providers import PROVIDERS

ENGINES = ("torch", "torch-compile", "openvino", "io-binding", "cuda-graph")
_MAX_RATE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class BenchmarkSettings:
    """Everything is measured in every combination.

    Args:
        providers: `auto`, `cpu`, `cuda` or `tensorrt`.
        batch_sizes: images a call.
        precisions: only models of these; all without it.
        against: engines beside a plain ONNX Runtime session. `io-binding` and `cuda-graph` are ONNX Runtime
            with bound memory, and are measured on CUDA without being asked for. `openvino` runs the same file on the CPU.
        scenarios: see `vision_zoo.core.scenarios`.
        threads: of each engine, within one operator; by default those stored in the file, else one.
        seconds: how long every runner is timed.
        rate: calls per second in the scenario `server`; without it half of what one caller reaches,
            at most 2,000.
    """

    providers: tuple[str, ...] = ("auto",)
    batch_sizes: tuple[int, ...] = (1, 8, 64)
    precisions: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    scenarios: tuple[str, ...] = ("single-stream",)
    threads: int | None = None
    seconds: float = 2.0
    rate: float | None = None

    def __post_init__(self) -> None:
        """Raises UsageError for values out of range."""
        choices: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
            ("provider", self.providers, PROVIDERS),
            ("precision", self.precisions, PRECISIONS),
            ("engine", self.against, ENGINES),
            ("scenario", self.scenarios, SCENARIOS),
        )
        for what, names, known in choices:
            for name in names:
                require_choice(what, name, known)
        require_between("duration", self.seconds, 0, MAX_SECONDS, above=True)
        if self.threads is not None:
            require_between("threads", self.threads, 1, MAX_THREADS)
        for batch_size in self.batch_sizes:
            require_between("batch size", batch_size, 1, MAX_BATCH)
        if self.rate is not None:
            require_between("rate", self.rate, 0, _MAX_RATE, above=True)
            if "server" not in self.scenarios:
                raise UsageError("a rate is for the scenario server; add it, or omit the rate")
        if "cuda-graph" in self.against and not {"cuda", "auto"} & set(self.providers):
            raise UsageError("cuda-graph needs --provider cuda")
