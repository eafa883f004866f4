"""Prometheus metrics for `/metrics`."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily
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
        self._series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._model_series: dict[tuple[str, str], tuple[Histogram, Counter]] = {}
        registry = self._registry
        self._requests = Counter(
            "vision_zoo_requests", "Requests answered.", ("route", "method", "status"), registry=registry
        )
        self._seconds = Histogram(
            "vision_zoo_request_seconds",
            "Time from the arrival of a request to its response.",
            ("route",),
            buckets=_BUCKETS,
            registry=registry,
        )
        self._inference = Histogram(
            "vision_zoo_inference_seconds",
            "Inference time of one request.",
            ("model", "provider"),
            buckets=_BUCKETS,
            registry=registry,
        )
        self._images = Counter("vision_zoo_images", "Images classified.", ("model",), registry=registry)
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
        series = self._series.get((route, method, status))
        if series is None:  # looking a series up by its labels takes longer than counting
            series = self._requests.labels(route, method, str(status)), self._seconds.labels(route)
            self._series[route, method, status] = series
        series[0].inc()
        series[1].observe(seconds)

    def inferred(self, model: str, provider: str, images: int, seconds: float) -> None:
        series = self._model_series.get((model, provider))
        if series is None:
            series = self._inference.labels(model, provider), self._images.labels(model)
            self._model_series[model, provider] = series
        series[0].observe(seconds)
        series[1].inc(images)

    def failed(self, model: str) -> None:
        self._failures.labels(model).inc()

    def page(self, models: Mapping[str, str]) -> bytes:
        """The text for Prometheus; `models` are providers by model."""
        self._models.clear()
        for model, provider in models.items():
            self._models.labels(model, provider).set(1)
        return generate_latest(self._registry)


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
