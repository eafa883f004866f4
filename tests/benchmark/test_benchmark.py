"""Benchmarks as a whole: rows, tables, pictures and the page."""

import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vision_zoo.benchmark import BenchmarkSettings, benchmark
from vision_zoo.benchmark.engines import random_images
from vision_zoo.benchmark.page import page
from vision_zoo.benchmark.pictures import Point, accuracy_against_latency, svg
from vision_zoo.benchmark.sessions import openvino_runner
from vision_zoo.benchmark.tables import flat, footers, tables
from vision_zoo.core.benchmark_row import BenchmarkRow
from vision_zoo.core.environment import describe
from vision_zoo.core.errors import DeviceError, MissingExtraError, ModelError, UsageError
from vision_zoo.core.json_file import fields_of
from vision_zoo.core.progress import SilentProgress
from vision_zoo.core.statistics import pareto_front
from vision_zoo.serving.session import Session

SETTINGS = BenchmarkSettings(
    providers=("cpu",),
    batch_sizes=(1, 8),
    against=("torch", "io-binding"),
    scenarios=("single-stream", "offline", "server"),
    seconds=0.1,
)


@pytest.fixture(scope="module")
def rows(exported_model: Path) -> list[BenchmarkRow]:
    return list(benchmark([exported_model], SETTINGS, SilentProgress(), raw=True))


def test_there_is_a_row_for_every_combination(rows: list[BenchmarkRow]) -> None:
    found = {(row.engine, row.scenario, row.batch) for row in rows}
    assert len(found) == len(rows) == 3 * 3 * 2
    assert all(row.calls > 0 and row.errors == 0 for row in rows)


def test_a_row_says_what_ran_and_how_good_it_is(rows: list[BenchmarkRow]) -> None:
    own = next(row for row in rows if row.engine == "onnxruntime")
    assert own.provider == "CPUExecutionProvider"
    assert own.nodes is not None
    assert own.nodes.keys() == {"CPUExecutionProvider"}
    assert own.precision == "fp32"
    assert 0.9 < (own.test_accuracy or 0) <= 1
    assert own.test_images == 1000
    assert {"load_ms", "first_run_ms", "memory_mib", "preprocess_ms", "p99_9_ms", "max_ms", "steady"} <= set(
        fields_of(own)
    )
    assert own.ratio == 1


def test_openvino_answers_what_onnx_runtime_does(exported_model: Path) -> None:
    session = Session(exported_model, provider="cpu")
    images = random_images(session, 4)
    answers = openvino_runner(session, images, threads=1)
    expected = session.predict(images).probabilities
    for _ in range(2):  # the second call has the memory of the first
        assert np.abs(answers()[1] - expected).max() < 1e-4  # type: ignore[index]
    settings = BenchmarkSettings(providers=("cpu",), batch_sizes=(1,), against=("openvino",), seconds=0.01)
    own, other = benchmark([exported_model], settings, SilentProgress())
    assert (other.engine, other.provider, other.test_accuracy) == ("openvino", "openvino", None)
    assert other.bytes == own.bytes


def test_openvino_is_asked_for_where_it_is_missing(
    exported_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    session = Session(exported_model, provider="cpu")
    with pytest.raises(MissingExtraError, match="pip install openvino"):
        openvino_runner(session, random_images(session, 1), threads=1)


def test_only_the_server_has_a_rate(rows: list[BenchmarkRow]) -> None:
    assert {row.scenario for row in rows if row.rate is not None} == {"server"}


def test_tables_name_the_provider_and_keep_every_row(rows: list[BenchmarkRow]) -> None:
    found = tables(rows)
    assert len(found) == 1 + 1 + 2  # a server has a rate for each batch size
    assert all("CPUExecutionProvider, fp32, 1 thread" in title for title in found)
    assert sum(len(table) for table in found.values()) == len(rows)
    assert "operators:" in footers(rows)[0]


def test_an_unsteady_measurement_is_called_unstable(rows: list[BenchmarkRow]) -> None:
    (table,) = tables([replace(rows[0], steady=False)]).values()
    assert table[0][""] == "unstable"


def test_flat_rows_are_for_csv(rows: list[BenchmarkRow]) -> None:
    assert len({tuple(row) for row in flat(rows)}) == 1
    assert not any(isinstance(value, dict | list) for row in flat(rows) for value in row.values())


def test_the_page_needs_nothing_from_elsewhere(rows: list[BenchmarkRow]) -> None:
    text = page(rows, describe())
    assert text.startswith("<!doctype html>")
    assert text.count("<svg") == 1 + 2 * 6
    assert not re.search(r"(src|href)=\"(?!#)", text.replace("xlink:", ""))
    assert "<script" not in text
    identifiers = re.findall(r'<clipPath id="([^"]+)"', text)
    assert len(identifiers) == len(set(identifiers))


def test_a_picture_does_not_show_the_last_bits_of_a_processor() -> None:
    from matplotlib.figure import Figure

    def drawn(height: float) -> str:
        figure = Figure(figsize=(4.0, height))
        figure.add_subplot().plot([1.0, 2.0], [3.0, 4.0])
        return svg(figure, seed="any")

    assert drawn(3.0) == drawn(3.0 + 2e-15)


def test_the_pareto_front_is_what_nothing_beats() -> None:
    points = [(1.0, 0.90), (2.0, 0.95), (3.0, 0.94), (2.0, 0.97), (0.5, 0.80), (4.0, 0.97)]
    assert pareto_front(points) == [4, 0, 3]


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_sizes": (0,)},
        {"batch_sizes": (5000,)},
        {"against": ("jax",)},
        {"scenarios": ("multi-stream",)},
        {"precisions": ("int4",)},
        {"providers": ("tpu",)},
        {"providers": ("cpu",), "against": ("cuda-graph",)},
        {"rate": 0.0},
        {"seconds": 0.0},
        {"threads": 0},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        BenchmarkSettings(**settings)


def test_a_provider_that_cannot_run_is_an_error_and_not_a_fallback(exported_model: Path) -> None:
    from vision_zoo.serving.providers import missing_for

    if missing_for("cuda") is None:
        pytest.skip("CUDA can run here")
    with pytest.raises(
        DeviceError, match=r"--provider cuda cannot be used: .* (missing|was not found|built)"
    ):
        next(
            benchmark([exported_model], BenchmarkSettings(providers=("cuda",), seconds=0.1), SilentProgress())
        )


def test_a_precision_that_no_model_has_is_an_error(exported_model: Path) -> None:
    with pytest.raises(ModelError, match="precision int8"):
        next(
            benchmark(
                [exported_model], BenchmarkSettings(precisions=("int8",), seconds=0.1), SilentProgress()
            )
        )


def test_a_panel_that_no_dataset_needs_is_not_drawn() -> None:
    points = [Point(f"d{number}", "m", 1.0, 0.5) for number in range(5)]
    figure = accuracy_against_latency(points, title="five datasets in six panels")
    assert [axes.get_visible() for axes in figure.axes] == [True] * 5 + [False]


def test_files_of_the_same_name_are_told_apart(exported_model: Path, tmp_path: Path) -> None:
    paths = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        paths.append(Path(shutil.copy(exported_model, tmp_path / folder)))
    settings = BenchmarkSettings(batch_sizes=(1,), seconds=0.05)
    rows = list(benchmark(paths, settings, SilentProgress()))
    assert [row.model for row in rows] == [str(path) for path in paths]
    assert len(tables(rows)) == 2
    assert [line.split(": ")[0] for line in footers(rows)[:2]] == [str(path) for path in paths]
