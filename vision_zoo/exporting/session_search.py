"""Search for the fastest graph and session options on this machine, measured in turns."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_zoo.artifact.metadata import INPUT_NAME
from vision_zoo.artifact.session_options import SessionOptions
from vision_zoo.core import onnx_runtime
from vision_zoo.core.bounds import require_between
from vision_zoo.core.choices import OptimizationLevel
from vision_zoo.core.environment import usable_cores
from vision_zoo.core.errors import UsageError
from vision_zoo.core.latency import STEADY_WITHIN, Latency
from vision_zoo.core.progress import Progress
from vision_zoo.core.scenarios import MAX_BATCH, MAX_SECONDS, single_stream

PLAIN = SessionOptions()
LEVELS: tuple[OptimizationLevel, ...] = ("all", "extended", "basic")
WORTH = 1.05
"""Times faster: what gains less is noise, and not worth another graph or more threads."""

_HOPELESS = 1.5
"""Times slower than the fastest graph on one thread: more threads are not tried."""
_FINALISTS = 4
_FEW_CORES = 4
_UNSTEADY = (
    f"latencies changed by more than {STEADY_WITHIN:.0%} while they were measured, as when other programs run; repeat on "
    "an idle machine, or with a longer --duration"
)


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """What is measured: calls of `batch_sizes` images, on at most so many `threads` (all cores without it).

    Every candidate is timed for `seconds` in each of up to three rounds, for each batch size.
    """

    batch_sizes: tuple[int, ...] = (1,)
    threads: int | None = None
    seconds: float = 0.5

    def __post_init__(self) -> None:
        """Raises UsageError for values out of range."""
        require_between("duration", self.seconds, 0, MAX_SECONDS, above=True)
        if self.threads is not None:
            require_between("threads", self.threads, 1, onnx_runtime.MAX_THREADS)
        for batch_size in self.batch_sizes:
            require_between("batch size", batch_size, 1, MAX_BATCH)
        if not self.batch_sizes or len(set(self.batch_sizes)) != len(self.batch_sizes):
            given = ", ".join(map(str, self.batch_sizes)) or "none"
            raise UsageError(f"batch sizes {given} cannot be measured; expected one or more, all different")

    def thread_counts(self) -> list[int]:
        """Numbers of threads above one that are tried: all of a few, else powers of two and the largest."""
        most = min(self.threads or usable_cores(), usable_cores())
        powers = {2**power for power in range(1, most.bit_length())}
        return sorted({*range(2, min(most, _FEW_CORES) + 1), *(n for n in powers if n < most), most} - {1})


@dataclass(frozen=True, eq=False)
class Graph:
    """A serialised graph with its `outputs`; `full_range` as in the metadata of its file."""

    name: str
    content: bytes
    outputs: tuple[str, ...]
    full_range: bool = False

    def options(self, options: SessionOptions) -> Any:
        """The `onnxruntime.SessionOptions` for this graph."""
        return options.make(exact_products=self.full_range)


@dataclass(frozen=True, eq=False)
class Measured:
    """Latency of a graph with session options, as the median of calls.

    `milliseconds` are by batch size; `ratio` is the geometric mean over batch sizes of them over those of the first graph
    with plain options, in turns. `steady` is as in `core.latency`, `final` says that it was measured in the last round.
    """

    graph: Graph
    options: SessionOptions
    milliseconds: dict[int, float]
    ratio: float
    steady: bool = True
    final: bool = False


def search(
    graphs: Sequence[Graph],
    images: NDArray[np.uint8],
    settings: SearchSettings,
    *,
    branches: bool,
    progress: Progress,
) -> list[Measured]:
    """Measure `graphs`, the first of which is the original, on `images` uint8 `[n, …]`; the finalists come first.

    Every level of graph optimisation is tried on one thread, then more threads at the best level of each graph; the
    fastest are measured again together. Operators in parallel are tried where the graph has `branches`.
    """
    time = partial(_round, images=images, settings=settings, progress=progress)
    levels = time([(graph, replace(PLAIN, optimization=level)) for graph in graphs for level in LEVELS])
    best = [_simplest([one for one in levels if one.graph is graph], graphs) for graph in graphs]
    fastest = min(map(_ratio, best))
    spread = [
        (one.graph, options)
        for one in best
        if one.ratio <= _HOPELESS * fastest
        for options in _threaded(one.options, settings.thread_counts(), branches=branches)
    ]
    found = [*levels, *(time([(graphs[0], PLAIN), *spread])[1:] if spread else ())]
    finalists = {(graph, PLAIN): None for graph in graphs[:1]}
    for graph in graphs:
        one = _simplest([one for one in found if one.graph is graph], graphs)
        if one.ratio <= _HOPELESS * fastest:
            finalists[graph, one.options] = None
    for one in sorted(found, key=_ratio)[:_FINALISTS]:
        finalists[one.graph, one.options] = None
    last = [replace(one, final=True) for one in time(list(finalists))]
    return [*last, *(one for one in found if (one.graph, one.options) not in finalists)]


def choose(found: Sequence[Measured], graphs: Sequence[Graph]) -> Measured:
    """The finalist to keep: the simplest that is as fast as the fastest, but for `WORTH`."""
    return _simplest([one for one in found if one.final], graphs)


def _simplest(measured: Sequence[Measured], graphs: Sequence[Graph]) -> Measured:
    fastest, order = min(map(_ratio, measured)), list(graphs)
    return min(
        (one for one in measured if one.ratio <= fastest * WORTH),
        key=lambda one: (
            order.index(one.graph),
            one.options.parallel,
            one.options.threads,
            one.options.spinning,
            LEVELS.index(one.options.optimization),
        ),
    )


def unsteady(found: Sequence[Measured]) -> list[str]:
    """A note where the latency of a finalist changed while it was measured; empty where none did."""
    return [] if all(one.steady for one in found if one.final) else [_UNSTEADY]


def _ratio(one: Measured) -> float:
    return one.ratio


def _threaded(options: SessionOptions, counts: Sequence[int], *, branches: bool) -> Iterator[SessionOptions]:
    for threads in counts:
        for spinning in (False, True):
            yield replace(options, threads=threads, spinning=spinning)
        if branches:
            yield replace(options, threads=threads, parallel=True)


def _round(
    candidates: Sequence[tuple[Graph, SessionOptions]],
    *,
    images: NDArray[np.uint8],
    settings: SearchSettings,
    progress: Progress,
) -> list[Measured]:
    """Time candidates, the first of which is what others are compared with, in turns."""
    sessions = [
        onnx_runtime.make_session(graph.content, graph.options(options)) for graph, options in candidates
    ]
    times: list[dict[int, Latency]] = [{} for _ in candidates]
    for batch_size in settings.batch_sizes:
        batch = {INPUT_NAME: np.resize(images, (batch_size, *images.shape[1:]))}
        runners = {
            str(index): partial(session.run, list(graph.outputs), batch)
            for index, (session, (graph, _)) in enumerate(zip(sessions, candidates, strict=True))
        }
        timed = single_stream(runners, batch_size=batch_size, seconds=settings.seconds, progress=progress)
        for own, latency in zip(times, timed.values(), strict=True):
            own[batch_size] = latency
    medians = [
        {size: float(np.median(latency.nanoseconds)) / 1e6 for size, latency in own.items()} for own in times
    ]
    return [
        Measured(
            graph,
            options,
            own,
            ratio=math.exp(np.mean([math.log(own[size] / medians[0][size]) for size in own])),
            steady=all(latency.steady is not False for latency in latencies.values()),
        )
        for (graph, options), own, latencies in zip(candidates, medians, times, strict=True)
    ]
