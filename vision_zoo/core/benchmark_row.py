"""One row of a benchmark."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vision_zoo.core.json_file import null


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkRow:
    """Latency of one model, engine, provider, scenario and batch size.

    Milliseconds are of one call; `ratio` is the median over that of a plain ONNX Runtime session. From `import_ms` on,
    values do not depend on the batch, and rows of other engines have none. `raw_ms` is a sample of the latencies.
    """

    model: str
    architecture: str = ""
    dataset: str = ""
    precision: str = "fp32"
    test_accuracy: float | None = null()
    test_images: int = 0
    bytes: int = 0
    engine: str
    provider: str
    threads: int
    scenario: str = "single-stream"
    rate: float | None = null()
    batch: int
    calls: int
    errors: int = 0
    p50_ms: float | None
    p90_ms: float | None
    p95_ms: float | None = null()
    p99_ms: float | None
    p99_9_ms: float | None = null()
    max_ms: float | None = null()
    images_per_second: float
    steady: bool | None = null()
    ratio: float | None
    raw_ms: Sequence[float] | None = None
    import_ms: float | None = null()
    load_ms: float | None = null()
    first_run_ms: float | None = null()
    memory_mib: float | None = null()
    preprocess_ms: float | None = null()
    run_ms: float | None = null()
    postprocess_ms: float | None = null()
    nodes: Mapping[str, int] | None = null()
    copies: int | None = null()


def rows_of_one_image(rows: Iterable[BenchmarkRow]) -> dict[str, BenchmarkRow]:
    """By model: the row of ONNX Runtime and one image, one call after the other."""
    return {
        row.model: row
        for row in rows
        if row.engine == "onnxruntime" and row.batch == 1 and row.scenario == "single-stream"
    }


def row_of_file(
    rows: Iterable[BenchmarkRow], model: str, *, size: int, test_accuracy: float
) -> BenchmarkRow | None:
    """`rows_of_one_image` of the file called `model`; None where another file of that name was measured."""
    row = rows_of_one_image(rows).get(model)
    return row if row is not None and (row.bytes, row.test_accuracy) == (size, test_accuracy) else None
