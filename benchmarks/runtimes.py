"""Every shipped file in ONNX Runtime and OpenVINO, and the floor of its latency: `results/<environment>/runtimes.json`.

One image at a time on one thread, from an array to an array, in turn in one run. The floor is the file's
multiply-accumulate operations at the rate that ONNX Runtime reaches here in a large product of matrices (of floats or of
8-bit integers, as the file computes), plus what it takes for a graph of one node.

    python -m benchmarks.runtimes [--seconds 2]
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx  # noqa: TID253
from onnx import TensorProto, helper, numpy_helper  # noqa: TID253

from benchmarks.goals import print_goals
from vision_zoo.benchmark import BenchmarkSettings
from vision_zoo.benchmark.engines import runners
from vision_zoo.core import onnx_runtime
from vision_zoo.core.environment import describe, installed
from vision_zoo.core.latency import Latency
from vision_zoo.core.progress import progress_on_stderr
from vision_zoo.core.results import SCHEMA_VERSION, result_path, write_result
from vision_zoo.core.scenarios import Runner, single_stream
from vision_zoo.serving.models import list_models
from vision_zoo.serving.session import Session

ROOT = Path(__file__).resolve().parent.parent
_SIDE = 1024
_SETTINGS = BenchmarkSettings(providers=("cpu",), against=("openvino",), threads=1)


def product(precision: str) -> Runner:
    """A product of two square matrices: floats, or unsigned by signed integers of 8 bits."""
    rng = np.random.default_rng(0)
    if precision == "int8":
        weights: Any = rng.integers(-128, 128, (_SIDE, _SIDE), dtype=np.int8)
        images: Any = rng.integers(0, 256, (_SIDE, _SIDE), dtype=np.uint8)
        node, given, got = "MatMulInteger", TensorProto.UINT8, TensorProto.INT32
    else:
        weights = rng.standard_normal((_SIDE, _SIDE), dtype=np.float32)
        images = rng.standard_normal((_SIDE, _SIDE), dtype=np.float32)
        node, given, got = "MatMul", TensorProto.FLOAT, TensorProto.FLOAT
    return _run(node, ["image", "weights"], images, given, got, [numpy_helper.from_array(weights, "weights")])


def nothing() -> Runner:
    """A graph of one node on one number: what the runtime takes by itself."""
    return _run("Identity", ["image"], np.zeros((1,), np.float32), TensorProto.FLOAT, TensorProto.FLOAT, [])


def _run(node: str, names: list[str], images: Any, given: int, got: int, weights: list[Any]) -> Runner:
    graph = helper.make_graph(
        [helper.make_node(node, names, ["out"])],
        node,
        [helper.make_tensor_value_info("image", given, images.shape)],
        [helper.make_tensor_value_info("out", got, images.shape)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    session = onnx_runtime.load().InferenceSession(
        model.SerializeToString(), onnx_runtime.session_options(1), providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(["out"], {"image": images})


def _p50(latency: Latency) -> float:
    return float(np.median(latency.nanoseconds)) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="of each runner")
    parser.add_argument("--results-dir", type=Path, default=ROOT / "results")
    chosen = parser.parse_args()
    rows = []
    with progress_on_stderr() as progress:
        floor = {"fp32": product("fp32"), "int8": product("int8"), "fixed": nothing()}
        for path in list_models(ROOT / "exported").values():
            session = Session(path, provider="cpu", threads=1)
            measured = {**runners(session, 1, _SETTINGS), **floor}
            p50 = {
                name: _p50(latency)
                for name, latency in single_stream(
                    measured, batch_size=1, seconds=chosen.seconds, progress=progress
                ).items()
            }
            precision = "int8" if session.metadata.precision == "int8" else "fp32"
            rate = _SIDE**3 / p50[precision]  # operations a millisecond
            rows.append(
                {
                    "model": session.name,
                    "precision": session.metadata.precision,
                    "macs": session.metadata.macs,
                    "onnxruntime_ms": round(p50["onnxruntime"], 4),
                    "openvino_ms": round(p50["openvino"], 4),
                    "over_openvino": round(p50["onnxruntime"] / p50["openvino"], 3),
                    "giga_macs_per_second": round(rate / 1e6, 1),
                    "floor_ms": round(session.metadata.macs / rate + p50["fixed"], 4),
                    "over_floor": round(
                        p50["onnxruntime"] / (session.metadata.macs / rate + p50["fixed"]), 2
                    ),
                }
            )
            progress.line(f"{rows[-1]}")
    environment = describe()
    environment = replace(environment, versions={**environment.versions, **installed(["openvino"])})
    path = result_path(chosen.results_dir, environment, "runtimes")
    write_result(
        path,
        {
            "schema": SCHEMA_VERSION,
            "kind": "runtimes",
            "environment": environment,
            "seconds": chosen.seconds,
            "rows": rows,
        },
    )
    print(f"{path} is written", file=sys.stderr)
    print_goals(path)


if __name__ == "__main__":
    main()
