"""Latencies of exported files, from `results/` and from `bench --format json`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_zoo.core import json_file
from vision_zoo.core.benchmark_row import BenchmarkRow
from vision_zoo.core.environment import Environment
from vision_zoo.core.results import ZooResult, load_results


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """What `bench --format json` writes."""

    environment: Environment
    rows: Sequence[BenchmarkRow]


def load_benchmarks(results_dir: Path, bench_file: Path | None) -> list[Benchmark]:
    """Those of a folder of results, after the one of `bench_file` where it is given.

    Raises:
        RunError: a file is damaged, or `bench_file` is missing.
    """
    shipped = [
        Benchmark(environment=document.environment, rows=document.benchmark)
        for document in load_results(results_dir, ZooResult)
    ]
    if bench_file is None:
        return shipped
    hint = "write it with `vision-zoo bench --format json --output FILE`"
    return [json_file.read(bench_file, Benchmark, hint=hint), *shipped]
