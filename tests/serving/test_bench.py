import time

import numpy as np
import pytest

from vision_zoo.benchmark import BenchmarkSettings
from vision_zoo.errors import UsageError
from vision_zoo.progress import SilentProgress
from vision_zoo.serving.bench import _summary, measure


def test_percentiles_are_of_the_calls() -> None:
    latency = _summary(np.arange(1, 10_001) * 1_000_000, batch_size=4)
    assert latency.calls == 10_000
    assert latency.milliseconds[50] == pytest.approx(5000.5)
    assert latency.milliseconds[99] == pytest.approx(9900, rel=1e-3)
    assert latency.images_per_second == pytest.approx(4 * 1000 / 5000.5)


@pytest.mark.parametrize(
    ("calls", "given"), [(99, [50]), (100, [50, 90]), (999, [50, 90]), (1000, [50, 90, 99])]
)
def test_a_percentile_that_the_sample_cannot_carry_is_not_given(calls: int, given: list[int]) -> None:
    milliseconds = _summary(np.ones(calls, dtype=np.int64), batch_size=1).milliseconds
    assert [percentile for percentile, value in milliseconds.items() if value is not None] == given


def test_every_arm_is_warmed_up_and_timed() -> None:
    calls = {"fast": 0, "slow": 0}

    def fast() -> None:
        calls["fast"] += 1

    def slow() -> None:
        calls["slow"] += 1
        time.sleep(0.005)

    measured = measure({"fast": fast, "slow": slow}, batch_size=1, seconds=0.2, progress=SilentProgress())
    for name, latency in measured.items():
        assert 0 < latency.calls < calls[name]
    assert (measured["slow"].milliseconds[50] or 0) >= 5


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_duration_must_be_positive(seconds: float) -> None:
    with pytest.raises(UsageError, match="is out of range"):
        measure({}, batch_size=1, seconds=seconds, progress=SilentProgress())


@pytest.mark.parametrize("settings", [{"batch_sizes": (0,)}, {"batch_sizes": (5000,)}, {"against": ("jax",)}])
def test_settings_out_of_range_are_refused(settings: dict[str, tuple[object]]) -> None:
    with pytest.raises(UsageError):
        BenchmarkSettings(**settings)  # type: ignore[arg-type]
