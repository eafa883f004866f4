"""Measure a page written by `export --html`: its size, and the time from opening it to the first answer.

    python -m benchmarks.web_page [MODEL...]

Opens the page from disk in headless Chromium, each time in a new process, and prints one JSON document. Times are in
seconds, the median and the largest of the repetitions. `warm_milliseconds` is one picture on a warm page: preprocessing
and model.
"""

import json
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

import vision_zoo as vz

_REPETITIONS = 10
_FIRST_ANSWER = """async () => {
  await window.visionZoo.ready;
  const canvas = new OffscreenCanvas(280, 280), context = canvas.getContext("2d");
  context.lineWidth = 22;
  context.stroke(new Path2D("M 75 60 H 200 Q 150 140 130 235"));
  const picture = context.getImageData(0, 0, 280, 280), models = window.visionZoo.models();
  await window.visionZoo.answersOf(models, picture);
  const first = performance.now() / 1000, times = [];
  for (let i = 0; i < 50; i++) {
    const begun = performance.now();
    await window.visionZoo.answersOf(models, picture);
    times.push(performance.now() - begun);
  }
  return { first, warm: times.sort((a, b) => a - b)[25] };
}"""


def measure(models: list[str]) -> dict[str, Any]:
    """Size and times of a page with `models`."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = vz.export_html(models, Path(folder) / "page.html")
        found = []
        for _ in range(_REPETITIONS):
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-dev-shm-usage"]
            )
            opened = browser.new_page()
            opened.goto(page.path.as_uri())
            found.append(opened.evaluate(_FIRST_ANSWER))
            version = browser.version
            browser.close()
    first = [one["first"] for one in found]
    return {
        "models": list(page.models),
        "bytes": page.size,
        "first_answer_seconds": {"median": statistics.median(first), "largest": max(first)},
        "warm_milliseconds": statistics.median(one["warm"] for one in found),
        "repetitions": _REPETITIONS,
        "browser": f"Chromium {version}",
        "cores": os.cpu_count(),
    }


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1:] or ["airbench-mnist"]), indent=2))
