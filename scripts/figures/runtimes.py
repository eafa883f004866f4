"""The shipped files in ONNX Runtime, in OpenVINO, and beside the floor of their latency."""

from typing import Any

from benchmarks.goals import LARGE_MACS, OVER_FLOOR, OVER_OPENVINO
from scripts.figures.sources import Results, environment_of, hardware, of_kind, versions
from vision_zoo.core.tables import markdown


def table(results: Results) -> str:
    """Latencies of one image and their ratios, one row for each file."""
    return "\n\n".join(part for document in of_kind(results, "runtimes") for part in _parts(document))


def _parts(document: dict[str, Any]) -> list[str]:
    rows = [
        {
            "model": f"`{row['model']}`",
            "million MACs": f"{row['macs'] / 1e6:.2f}",
            "ONNX Runtime, ms": f"{row['onnxruntime_ms']:.3f}",
            "OpenVINO, ms": f"{row['openvino_ms']:.3f}",
            "over OpenVINO": f"{row['over_openvino']:.2f}x",
            "floor, ms": f"{row['floor_ms']:.3f}",
            "over the floor": f"{row['over_floor']:.1f}x",
        }
        for row in document["rows"]
    ]
    slower = sum(row["over_openvino"] > OVER_OPENVINO for row in document["rows"])
    large = [row for row in document["rows"] if row["macs"] > LARGE_MACS]
    far = sum(row["over_floor"] > OVER_FLOOR for row in large)
    environment = environment_of(document)
    how = (
        f"Median latency of one image on one thread of {hardware(document)}, {document['seconds']:g} s for each engine, "
        f"in turn in one run, with {versions(environment, ('onnxruntime-gpu', 'onnxruntime', 'openvino'))}. Files "
        f"that take more than {OVER_OPENVINO:g} times as long as in OpenVINO: {slower} of {len(rows)}; more than twice "
        f"their floor: {far} of the {len(large)} of more than 5 million multiply-accumulate operations (MACs)."
    )
    return [markdown(rows), how]
