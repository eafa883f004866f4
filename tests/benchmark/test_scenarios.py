import time
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest

from tests.conftest import ROOT
from vision_zoo.benchmark.cold import measure_cold
from vision_zoo.benchmark.sessions import bound_runner, cuda_graph_runner, measure_stages, placement
from vision_zoo.core import scenarios
from vision_zoo.core.errors import ModelError, UsageError
from vision_zoo.core.latency import percentile_name, summarise
from vision_zoo.core.progress import SilentProgress
from vision_zoo.core.scenarios import offline, server, single_stream
from vision_zoo.serving.session import Session

pytestmark = pytest.mark.alone
SILENT = SilentProgress()


@pytest.fixture(scope="module")
def exported_model() -> Path:
    """A shipped file: these tests run one at a time, and are not to wait for a network to be trained."""
    return ROOT / "exported" / "simple_cnn-mnist.onnx"


def _sleep() -> None:
    time.sleep(0.005)


def test_a_short_duration_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0]

    def call() -> None:
        now[0] += 1_000_000

    clock = SimpleNamespace(perf_counter=lambda: now[0] / 1e9, perf_counter_ns=lambda: now[0])
    monkeypatch.setattr(scenarios, "time", clock)
    measured = single_stream({"one": call}, batch_size=1, seconds=0.02, progress=SILENT)
    assert measured["one"].calls == 20
    assert now[0] < 50_000_000  # twenty milliseconds to warm up, and as many to measure


def test_percentiles_are_of_the_calls() -> None:
    latency = summarise(np.arange(1, 10_001) * 1_000_000, batch_size=4)
    assert latency.calls == 10_000
    assert latency.milliseconds[50] == pytest.approx(5000.5)
    assert latency.milliseconds[99] == pytest.approx(9900, rel=1e-3)
    assert latency.max_ms == 10_000
    assert latency.images_per_second == pytest.approx(4 * 1000 / 5000.5)


@pytest.mark.parametrize(
    ("calls", "given"),
    [
        (0, []),
        (99, [50]),
        (100, [50, 90]),
        (200, [50, 90, 95]),
        (999, [50, 90, 95]),
        (1000, [50, 90, 95, 99]),
        (10_000, [50, 90, 95, 99, 99.9]),
    ],
)
def test_a_percentile_that_the_sample_cannot_carry_is_not_given(calls: int, given: list[float]) -> None:
    milliseconds = summarise(np.ones(calls, dtype=np.int64), batch_size=1).milliseconds
    assert [percentile for percentile, value in milliseconds.items() if value is not None] == given


def test_percentiles_have_names_for_columns() -> None:
    assert [percentile_name(value) for value in (50.0, 99.9)] == ["p50_ms", "p99_9_ms"]


@pytest.mark.parametrize(
    ("calls", "steady"),
    [
        ([100] * 30, True),
        ([100] * 20 + [105] * 10, True),
        ([100] * 20 + [150] * 10, False),
        ([100] * 14, None),
    ],
    ids=["equal", "within 10 %", "slower at the end", "too few"],
)
def test_a_sample_is_steady_where_three_windows_agree(calls: list[int], steady: bool | None) -> None:
    assert summarise(np.asarray(calls), batch_size=1).steady is steady


def test_every_arm_is_warmed_up_and_timed() -> None:
    calls = {"fast": 0, "slow": 0}

    def fast() -> None:
        calls["fast"] += 1

    def slow() -> None:
        calls["slow"] += 1
        _sleep()

    measured = single_stream({"fast": fast, "slow": slow}, batch_size=1, seconds=0.2, progress=SILENT)
    for name, latency in measured.items():
        assert 0 < latency.calls < calls[name]
    assert (measured["slow"].milliseconds[50] or 0) >= 5


def test_offline_counts_the_calls_of_all_callers() -> None:
    alone = offline(_sleep, batch_size=8, seconds=0.3, callers=1, progress=SILENT)
    together = offline(_sleep, batch_size=8, seconds=0.3, callers=4, progress=SILENT)
    assert together.images_per_second > 2 * alone.images_per_second


def test_a_server_that_is_too_slow_shows_the_time_that_calls_waited() -> None:
    # 400 calls per second arrive, one caller does less than 200: the last have waited for half of the time.
    latency = server(_sleep, batch_size=1, seconds=0.5, rate=400, callers=1, progress=SILENT)
    assert latency.calls == 200
    assert (latency.milliseconds[50] or 0) > 50
    assert latency.steady is False


def test_a_server_that_keeps_up_answers_as_calls_arrive() -> None:
    latency = server(lambda: None, batch_size=1, seconds=0.5, rate=200, callers=2, progress=SILENT)
    assert latency.calls == 100
    assert latency.errors == 0
    assert latency.images_per_second < 400


def test_calls_that_fail_are_counted_and_have_no_latency() -> None:
    calls = iter(range(10**9))

    def fail_sometimes() -> None:
        if next(calls) > 1000 and next(calls) % 2:
            raise ModelError("broken")

    latency = server(fail_sometimes, batch_size=1, seconds=0.2, rate=500, callers=1, progress=SILENT)
    assert latency.calls + latency.errors == 100


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_duration_must_be_positive(seconds: float) -> None:
    with pytest.raises(UsageError, match="is out of range"):
        single_stream({}, batch_size=1, seconds=seconds, progress=SILENT)
    with pytest.raises(UsageError, match="is out of range"):
        offline(_sleep, batch_size=1, seconds=seconds, callers=1, progress=SILENT)
    with pytest.raises(UsageError, match="is out of range"):
        server(_sleep, batch_size=1, seconds=seconds, rate=1, callers=1, progress=SILENT)


def test_a_cold_start_is_measured_in_a_process_of_its_own(exported_model: Path) -> None:
    cold = measure_cold(exported_model, provider="cpu", threads=1)
    assert min(cold.import_ms, cold.load_ms, cold.first_run_ms) > 0
    assert cold.memory_mib is None or 0 < cold.memory_mib < 1000


def test_a_cold_start_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="is not an ONNX file"):
        measure_cold(tmp_path / "model.onnx", provider="cpu", threads=1)


def test_every_operator_is_seen_where_it_ran(exported_model: Path) -> None:
    placed = placement(Session(exported_model, provider="cpu"))
    assert set(placed.nodes) == {"CPUExecutionProvider"}
    assert placed.nodes["CPUExecutionProvider"] > 5
    assert placed.copies == 0


def test_a_pictures_time_is_split(exported_model: Path) -> None:
    session = Session(exported_model, provider="cpu")
    with patch.object(session, "predict", wraps=session.predict) as predict:
        stages = measure_stages(session, seconds=0)
    assert predict.call_count == 1 + 3
    assert min(stages.preprocess_ms, stages.run_ms, stages.postprocess_ms) > 0


def test_bound_memory_gives_the_same_answer(exported_model: Path) -> None:
    session = Session(exported_model, provider="cpu")
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), dtype=np.uint8)
    expected = session.predict(images)
    np.testing.assert_array_equal(bound_runner(session, images)(), [expected.logits, expected.probabilities])


def test_a_cuda_graph_needs_cuda(exported_model: Path) -> None:
    session = Session(exported_model, provider="cpu")
    with pytest.raises(UsageError, match="runs on CPUExecutionProvider"):
        cuda_graph_runner(session, np.zeros((1, 28, 28, 1), dtype=np.uint8), threads=1)
