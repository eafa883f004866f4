"""Write the figures in the documents from `results/`, or check that they are what `results/` says.

A generated part of a Markdown file stands between `<!-- generated: NAME -->` and `<!-- end -->`.

    python scripts/update_documents.py            rewrite
    python scripts/update_documents.py --check    exit with 1 where a document has drifted
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vision_zoo import atomic, report
from vision_zoo.benchmark.pictures import accuracy_against_latency, svg
from vision_zoo.environment import hardware
from vision_zoo.tables import markdown
from vision_zoo.training.recipe import Recipe
from vision_zoo.training.recipes import RECIPES

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = ("README.md",)
REPORT = "docs/RESULTS.md"
PICTURE = "docs/images/zoo.svg"
_PART = re.compile(r"(<!-- generated: (?P<name>[a-z_]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_VERSIONS_SHOWN = ("torch", "onnx", "onnxruntime-gpu", "onnxruntime")

Results = dict[str, dict[str, Any]]


def load_results(root: Path) -> Results:
    """Every file of `results/` by its path below it."""
    folder = root / "results"
    return {
        path.relative_to(folder).as_posix(): json.loads(path.read_text())
        for path in sorted(folder.rglob("*.json"))
    }


def _zoos(results: Results) -> list[dict[str, Any]]:
    return [document for document in results.values() if document.get("kind") == "zoo"]


def _of_one_image(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By model: its row of ONNX Runtime and one image, one call after the other."""
    return {
        row["model"]: row
        for row in document["benchmark"]
        if row["engine"] == "onnxruntime" and row["batch"] == 1 and row["scenario"] == "single-stream"
    }


def zoo_picture(results: Results) -> str:
    """The shipped files' accuracy against their latency, as SVG."""
    (document, *_) = _zoos(results)
    title = f"The shipped models, one thread of {hardware(document['environment'])}"
    rows = list(_of_one_image(document).values())
    return svg(accuracy_against_latency(rows, title=title), seed="zoo", text_as_paths=True)


def zoo(results: Results) -> str:
    """The shipped files: what each reaches, how large and how fast it is."""
    parts = []
    for document in _zoos(results):
        measured = _of_one_image(document)
        eager = {
            row["model"]: row["ratio"]
            for row in document["benchmark"]
            if row["engine"] == "torch" and row["batch"] == 1
        }
        rows = [
            {
                "model": f"`{entry['model']}`",
                "dataset": entry["dataset"] + (" ¹" if "copy" in entry["data_variant"] else ""),
                "accuracy": f"{entry['test_accuracy']:.2%}",
                "test images": f"{entry['test_images']:,}",
                "parameters": f"{entry['parameters']:,}",
                "MiB": round(entry["bytes"] / 2**20, 2),
                "computes in": entry["precision"],
                "weights": entry["weights"],
                "p50 ms": measured[entry["model"]]["p50_ms"],
                "p99 ms": measured[entry["model"]]["p99_ms"],
                "eager torch, p50": f"{eager[entry['model']]:.1f}x",
            }
            for entry in sorted(
                document["models"], key=lambda entry: (entry["dataset"], -entry["test_accuracy"])
            )
        ]
        calls = [row["calls"] for row in measured.values()]
        how = (
            "The accuracy is the exported file's on the whole test split, in ONNX Runtime; one run each. "
            "Milliseconds are of one image, from its pixels to its probabilities, on one thread of "
            f"{hardware(document['environment'])}, over {min(calls):,} to {max(calls):,} calls; the last "
            f"column is eager torch's time as a multiple, measured in turns. With {_versions(document['environment'])}."
        )
        copies = "¹ Re-encoded pictures: CIFAR-10 as JPEG with halved colour resolution, Imagenette as square JPEG."
        parts += [markdown(rows), how, copies]
    return "\n\n".join(parts)


def reproduction(_results: Results) -> str:
    """How many of the published experiments were run, and what came of them."""
    verdicts = Counter(
        row["verdict"] for row in report.measured(ROOT / "results", [recipe.name for recipe in _published()])
    )
    total = len(_published())
    run = sum(verdicts[name] for name in ("holds", "above the report", "falls short"))
    return (
        f"Of the {total} published experiments {run} were repeated: {verdicts['holds']} hold, "
        f"{verdicts['above the report']} came out above their report, {verdicts['falls short']} fall short. "
        "[docs/RESULTS.md](docs/RESULTS.md) sets every figure beside its report's."
    )


def _published() -> list[Recipe]:
    return [recipe for recipe in RECIPES.values() if recipe.report is not None]


def quickstart(results: Results) -> str:
    """How long the quickstart took and what it reached."""
    sentences = [
        f"Measured once on {hardware(document['environment'])}: {document['seconds']:.0f} s in all, "
        f"{document['test_accuracy']:.1%} of {document['images']:,} test images."
        for path, document in results.items()
        if path.endswith("/quickstart.json")
    ]
    return "\n".join(sentences)


def inference(results: Results) -> str:
    """What serving costs and gains, as ratios in one run."""
    documents = [document for document in results.values() if document.get("kind") == "inference"]
    return "\n\n".join(part for document in documents for part in _inference(document))


def _inference(document: dict[str, Any]) -> list[str]:
    overhead, engines, options = document["overhead"], document["engines"], document["options"]
    callers = options[0]["callers"]
    rows = {
        "`Session.predict` over a bare `session.run`, one image": _range(
            overhead, "Session.predict", "p50", 1
        ),
        "`Session.predict` over a bare `session.run`, 64 images": _range(
            overhead, "Session.predict", "p50", 64
        ),
        "eager torch over ONNX Runtime, one image, one thread each": _range(engines, "torch", "p50", 1),
        f"ONNX Runtime's default options over ours, {callers} callers at once": _range(
            options, "default options", "p99", 1
        ),
    }
    cold = document["cold"]
    seconds = cold["seconds"]
    imports = ", ".join(f"{name} {value:.0f}" for name, value in list(cold["imports_ms"].items())[:4])
    table = markdown(
        [{"time of … as a multiple": what, "of": of, "range": text} for what, (of, text) in rows.items()]
    )
    how = (
        f"One model of each of {len(engines)} architectures, in turns in one run on "
        f"{hardware(document['environment'])}. `vision-zoo predict` answers {seconds['median']:.2f} s after its "
        f"process starts (median of {cold['calls']}; {seconds['smallest']:.2f} to {seconds['largest']:.2f}); what its "
        f"imports take, in milliseconds under `-X importtime`, which slows them down: {imports}."
    )
    return [table, how]


def _range(rows: list[dict[str, Any]], arm: str, percentile: str, batch: int) -> tuple[str, str]:
    ratios = [row["arms"][arm][f"{percentile}_ratio"] for row in rows if row["batch"] == batch]
    known = [ratio for ratio in ratios if ratio is not None]
    return percentile, f"{min(known):.2f} to {max(known):.2f}"


def training(results: Results) -> str:
    """How fast the engine trains, beside other loops."""
    parts = []
    for document in results.values():
        if document.get("kind") != "training":
            continue
        rows = [_training_row(name, measured) for name, measured in document["recipes"].items()]
        loops = ", ".join(f"{name} {version}" for name, version in document["environment"]["loops"].items())
        how = (
            f"Medians of {document['rounds']} rounds on {hardware(document['environment'])}, "
            f"{document['environment']['threads']} threads, every loop in a process of its own, in turns, with "
            f"{_versions(document['environment'])}, {loops}. *Floor*: the recipe's arithmetic at the rate of a large "
            "matrix product, measured in the same rounds. ¹ Features of frozen layers are computed once, in the other "
            f"loops in every epoch."
        )
        parts += [markdown(rows), how]
    return "\n\n".join(parts)


def _training_row(name: str, measured: dict[str, Any]) -> dict[str, Any]:
    arms = measured["arms"]
    engine = arms["engine"]["seconds"]

    def times(arm: str) -> str:
        found = next((entry for key, entry in arms.items() if key.startswith(arm)), None)
        return "–" if found is None else f"{found['seconds'] / engine:.1f}x"

    return {
        "recipe": f"`{name}`{' ¹' if measured['frozen_features'] else ''}",
        "images a second": f"{arms['engine']['images_per_second']:,.0f}",
        "course loop": times("course"),
        "tuned loop": times("tuned"),
        "resident data": times("resident"),
        "Lightning": times("lightning"),
        "timm": times("timm"),
        "engine over floor": f"{measured['engine_over_floor']:.1f}x",
    }


GENERATED: dict[str, Callable[[Results], str]] = {
    "zoo": zoo,
    "inference": inference,
    "training": training,
    "reproduction": reproduction,
    "quickstart": quickstart,
}


def rewritten(text: str, results: Results) -> str:
    """`text` with every generated part made anew."""
    return _PART.sub(lambda part: f"{part[1]}{GENERATED[part['name']](results)}\n{part[3]}", text)


def _versions(environment: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {environment['versions'][name]}"
        for name in _VERSIONS_SHOWN
        if name in environment["versions"]
    )


def main() -> None:
    check = "--check" in sys.argv[1:]
    results = load_results(ROOT)
    drifted = []
    wanted = {name: rewritten((ROOT / name).read_text(), results) for name in DOCUMENTS}
    wanted[PICTURE] = zoo_picture(results)
    wanted[REPORT] = report.text(ROOT / REPORT, ROOT / "results")
    for name, new in wanted.items():
        path = ROOT / name
        if not path.exists() or new != path.read_text():
            drifted.append(name)
            if not check:
                atomic.write_text(path, new)
    if check and drifted:
        sys.exit(f"error: {', '.join(drifted)} differ from results/; run `make docs`")


if __name__ == "__main__":
    main()
