"""Write the figures in the documents from `results/`, or check that they are what `results/` says.

A generated part of a Markdown file stands between `<!-- generated: NAME -->` and `<!-- end -->`.

    python scripts/update_documents.py            rewrite
    python scripts/update_documents.py --check    exit with 1 where a document has drifted
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vision_zoo import atomic
from vision_zoo.tables import markdown

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = ("README.md",)
_PART = re.compile(r"(<!-- generated: (?P<name>[a-z_]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def load_results(root: Path) -> dict[str, dict[str, Any]]:
    """Every file of `results/` by its path below it."""
    folder = root / "results"
    return {
        path.relative_to(folder).as_posix(): json.loads(path.read_text())
        for path in sorted(folder.rglob("*.json"))
    }


def accuracy(results: dict[str, dict[str, Any]]) -> str:
    """Reported beside measured, a row a recipe and environment."""
    rows = []
    for document in results.values():
        if "runs" not in document:
            continue
        runs = document["runs"]
        measured = sum(run["onnx_test_accuracy"] for run in runs) / len(runs)
        seconds = sum(run["train_seconds"] for run in runs) / len(runs)
        reported = document["reported"]
        rows.append(
            {
                "recipe": f"`{document['recipe']}`",
                "report": document["report"],
                "reported": _percent(reported.get("test_accuracy")),
                "measured": _percent(measured),
                "test images": f"{runs[0]['test_images']:,}",
                "runs (n)": len(runs),
                "train s, reported": reported.get("train_seconds"),
                "train s, measured": round(seconds, 1),
                "measured on": _hardware(document["environment"]),
            }
        )
    return f"{markdown(rows)}\n\n{_versions(results)}"


def latency(results: dict[str, dict[str, Any]]) -> str:
    """Latency of the exported files beside eager torch, a row a batch size."""
    rows = []
    measurements = [document["benchmark"] for document in results.values() if "runs" in document]
    for measurement in measurements:
        measured = measurement["rows"]
        eager = {row["batch"]: row for row in measured if row["engine"] == "torch"}
        rows += [
            {
                "model": f"`{row['model']}`",
                "provider": row["provider"],
                "batch": row["batch"],
                "calls (n)": row["calls"],
                "p50 ms": row["p50_ms"],
                "p90 ms": row["p90_ms"],
                "p99 ms": row["p99_ms"],
                "images/s": round(row["images_per_second"]),
                "eager torch, p50 ms": eager[row["batch"]]["p50_ms"],
                "times as fast": eager[row["batch"]]["ratio"],
            }
            for row in measured
            if row["engine"] == "onnxruntime"
        ]
    environments = {_hardware(measurement["environment"]) for measurement in measurements}
    return f"{markdown(rows)}\n\nOn {'; '.join(sorted(environments))}; one thread for either engine."


def quickstart(results: dict[str, dict[str, Any]]) -> str:
    """How long the quickstart took and what it reached."""
    sentences = [
        f"Measured once on {_hardware(document['environment'])}: {document['seconds']:.0f} s in all, "
        f"{document['test_accuracy']:.1%} of {document['images']:,} test images."
        for path, document in results.items()
        if path.endswith("/quickstart.json")
    ]
    return "\n".join(sentences)


GENERATED: dict[str, Callable[[dict[str, dict[str, Any]]], str]] = {
    "accuracy": accuracy,
    "latency": latency,
    "quickstart": quickstart,
}


def rewritten(text: str, results: dict[str, dict[str, Any]]) -> str:
    """`text` with every generated part made anew."""
    return _PART.sub(lambda part: f"{part[1]}{GENERATED[part['name']](results)}\n{part[3]}", text)


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{value:.2%}"


def _hardware(environment: dict[str, Any]) -> str:
    return environment.get("gpu") or f"{environment['cpu']}, {environment['cores']} cores"


def _versions(results: dict[str, dict[str, Any]]) -> str:
    shown = ("torch", "onnx", "onnxruntime-gpu", "onnxruntime")
    found = {
        ", ".join(
            f"{name} {document['environment']['versions'][name]}"
            for name in shown
            if name in document["environment"]["versions"]
        )
        for document in results.values()
        if "runs" in document
    }
    return (
        f"With {'; '.join(sorted(found))}. The accuracy is the exported file's, in ONNX Runtime; "
        "the report's seconds are of its own hardware."
    )


def main() -> None:
    check = "--check" in sys.argv[1:]
    results = load_results(ROOT)
    drifted = []
    for name in DOCUMENTS:
        path = ROOT / name
        text = path.read_text()
        new = rewritten(text, results)
        if new != text:
            drifted.append(name)
            if not check:
                atomic.write_text(path, new)
    if check and drifted:
        sys.exit(f"error: {', '.join(drifted)} differ from results/; run `make docs`")


if __name__ == "__main__":
    main()
