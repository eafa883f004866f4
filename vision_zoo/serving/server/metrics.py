"""Prometheus metrics for `/metrics`."""

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from vision_zoo.serving.server import logs

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

_LOADED = "vision_zoo_model_loaded"
_CREATED = "_created"


class Metrics:
    """Counters and histograms of one server; `running` and `waiting` are asked when the page is."""

    def __init__(self, *, running: Callable[[], float], waiting: Callable[[], float]) -> None:
        self._registry = CollectorRegistry()
        self._answers: dict[tuple[str, str, int], _Times] = {}
        self._runs: dict[tuple[str, str], _Times] = {}
        self._lock = threading.Lock()
        registry = self._registry
        registry.register(_Counted(self._answers, self._runs))
        self._failures = Counter(
            "vision_zoo_model_failures", "Failed inferences.", ("model",), registry=registry
        )
        self._models = Gauge(_LOADED, "1 for every served model.", ("model", "provider"), registry=registry)
        Gauge("vision_zoo_running", "Requests running.", registry=registry).set_function(running)
        Gauge("vision_zoo_waiting", "Requests waiting in the queue.", registry=registry).set_function(waiting)
        Gauge("vision_zoo_processes", "Server processes.", registry=registry).set(1)
        registry.register(_DroppedLines())

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered; `route` is its pattern, not its path."""
        times = self._answers.get((route, method, status))
        if times is None:
            times = self._answers[route, method, status] = _Times()
        times.add(seconds)

    def inferred(self, model: str, provider: str, images: int, seconds: float) -> None:
        """A model has run; from any thread."""
        with self._lock:
            times = self._runs.get((model, provider))
            if times is None:
                times = self._runs[model, provider] = _Times()
            times.add(seconds)
            times.images += images

    def failed(self, model: str) -> None:
        self._failures.labels(model).inc()

    def page(self, models: Mapping[str, str]) -> bytes:
        """The text for Prometheus; `models` are providers by model."""
        self._models.clear()
        for model, provider in models.items():
            self._models.labels(model, provider).set(1)
        return generate_latest(self._registry)


class _Times:
    """How many took how long: `counts` has those of each bucket."""

    __slots__ = ("counts", "images", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(_BUCKETS) + 1)
        self.seconds = 0.0
        self.images = 0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(_BUCKETS, seconds)] += 1
        self.seconds += seconds


class _Counted(Collector):
    """What is counted at every request: one object for each series, instead of one for each of its numbers."""

    def __init__(
        self, answers: Mapping[tuple[str, str, int], _Times], runs: Mapping[tuple[str, str], _Times]
    ) -> None:
        self._answers = answers
        self._runs = runs

    def collect(self) -> Iterable[Metric]:
        """Made when the page is asked for."""
        requests = CounterMetricFamily(
            "vision_zoo_requests", "Requests answered.", labels=("route", "method", "status")
        )
        routes: defaultdict[str, list[_Times]] = defaultdict(list)
        for (route, method, status), times in list(self._answers.items()):
            requests.add_metric((route, method, str(status)), sum(times.counts))
            routes[route].append(times)
        yield requests
        help_text = "Time from the arrival of a request to its response."
        seconds = HistogramMetricFamily("vision_zoo_request_seconds", help_text, labels=("route",))
        for route, several in routes.items():
            _add_times(seconds, (route,), several)
        yield seconds
        inference = HistogramMetricFamily(
            "vision_zoo_inference_seconds", "Inference time of one request.", labels=("model", "provider")
        )
        images = CounterMetricFamily("vision_zoo_images", "Images classified.", labels=("model",))
        classified: defaultdict[str, int] = defaultdict(int)
        for labels, times in list(self._runs.items()):
            _add_times(inference, labels, [times])
            classified[labels[0]] += times.images
        yield inference
        for model, count in classified.items():
            images.add_metric((model,), count)
        yield images


def _add_times(family: HistogramMetricFamily, labels: Sequence[str], several: Sequence[_Times]) -> None:
    counts = accumulate(map(sum, zip(*(times.counts for times in several), strict=True)))
    limits = [*map(_text, _BUCKETS), "+Inf"]
    family.add_metric(
        labels,
        buckets=list(zip(limits, counts, strict=True)),
        sum_value=sum(times.seconds for times in several),
    )


class _DroppedLines(Collector):
    def collect(self) -> Iterable[Metric]:
        """Counted where they are dropped, asked for when the page is."""
        yield CounterMetricFamily(
            "vision_zoo_log_lines_dropped", "Log lines that could not be written.", value=logs.dropped_lines()
        )


def add_pages(live: Iterable[str], ended: Iterable[str]) -> str:
    """The pages of several processes as one: their counts together. Those that have `ended` have no gauges any more."""
    heads: dict[str, list[str]] = {}
    series: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for page, has_gauges in (*((page, True) for page in live), *((page, False) for page in ended)):
        family, kind = "", ""
        for line in page.splitlines():
            if line.startswith("#"):
                _, _, family, kind = line.split(" ", 3)  # of two lines, the second has the type
                lines = heads.setdefault(family, [])
                if line not in lines:
                    lines.append(line)
            elif kind != "gauge" or has_gauges or family.endswith(_CREATED):
                name, _, value = line.rpartition(" ")
                values = series[family]
                values[name] = _add(family, values[name], float(value)) if name in values else float(value)
    lines = []
    for family, head in heads.items():
        lines += head
        lines += [f"{name} {_text(value)}" for name, value in series[family].items()]
    return "".join(f"{line}\n" for line in lines)


def _text(value: float) -> str:
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]


def _add(family: str, first: float, second: float) -> float:
    if family.endswith(_CREATED):
        return min(first, second)
    return max(first, second) if family == _LOADED else first + second
