"""How well digits are read from sheets of paper: accuracies for `results/<environment>/digits.json`.

Digits of MNIST's test set are drawn again with a pen on a sheet: thinned to their middle line, and stroked with a round
pen. A condition says what pen, and what light, paper, camera and surroundings (`benchmarks/sheets.py`).

    python benchmarks/digits.py [--digits 200] [--failures FOLDER]
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.sheets import CONDITIONS, sheet
from vision_zoo.core.environment import describe
from vision_zoo.core.errors import ImageError
from vision_zoo.core.results import SCHEMA_VERSION, result_path, write_result
from vision_zoo.data import find_dataset
from vision_zoo.images.preprocess import prepare
from vision_zoo.serving.session import Session

ROOT = Path(__file__).resolve().parent.parent
_MODELS = ("simple_cnn-mnist", "airbench-mnist")


def measured(
    name: str, digits: Any, labels: Any, sessions: list[Session], seed: int, failures: Path | None
) -> dict[str, Any]:
    """The accuracy of every model on one condition, and how many sheets were refused."""
    seen, seconds, refused = [], [], 0
    for number, digit in enumerate(digits):
        picture = sheet(digit, CONDITIONS[name], seed + number)
        started = time.perf_counter()
        try:
            seen.append(prepare(picture, sessions[0].metadata.input))
        except ImageError as error:
            refused += 1
            seen.append(np.zeros(sessions[0].metadata.input.shape, dtype=np.uint8))
            print(name, number, error, file=sys.stderr)
        seconds.append(time.perf_counter() - started)
    images = np.stack(seen)
    row: dict[str, Any] = {"condition": name, "digits": len(digits), "refused": refused, "accuracy": {}}
    for session in sessions:
        right = (session.predict(images).classes == labels) & images.any(axis=(1, 2, 3))
        row["accuracy"][session.name] = round(float(right.mean()), 4)
    if failures is not None:
        for number in np.flatnonzero(~right).tolist():
            picture = sheet(digits[number], CONDITIONS[name], seed + number).convert("L").resize((400, 400))
            both = Image.new("L", (680, 400))
            both.paste(picture, (0, 0))
            both.paste(Image.fromarray(images[number].squeeze()).resize((280, 280), 0), (400, 0))
            both.save(failures / f"{name.replace(' ', '_')}-{number}-{labels[number]}.png")
    return {**row, "milliseconds": round(1e3 * float(np.median(seconds)), 1)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--digits", type=int, default=200, help="of each condition")
    parser.add_argument(
        "--conditions", nargs="*", default=list(CONDITIONS), help="only these; nothing is written"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--failures", type=Path, help="folder for pictures of what is read wrong")
    parser.add_argument("--results-dir", type=Path, default=ROOT / "results")
    chosen = parser.parse_args()
    data_dir = os.environ.get("VISION_ZOO_DATA")
    test = find_dataset("mnist").load(Path(data_dir) if data_dir else None).test
    picked = np.random.default_rng(chosen.seed).permutation(len(test))[: chosen.digits]
    digits, labels = test.images[picked].squeeze(-1), test.labels[picked]
    sessions = [Session(ROOT / "exported" / f"{name}.onnx", provider="cpu") for name in _MODELS]
    rows = []
    for name in chosen.conditions:
        rows.append(measured(name, digits, labels, sessions, chosen.seed, chosen.failures))
        print(name, rows[-1], file=sys.stderr)
    if chosen.conditions == list(CONDITIONS):
        path = result_path(chosen.results_dir, describe(), "digits")
        write_result(
            path, {"schema": SCHEMA_VERSION, "kind": "digits", "environment": describe(), "conditions": rows}
        )


if __name__ == "__main__":
    main()
