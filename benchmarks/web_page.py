"""Measure pages written by `export --html`: their size, and the time from opening one to its first answer.

    python -m benchmarks.web_page [MODEL...]

Opens a page with each MODEL from disk in headless Chromium, each time in a new process, and writes
`results/<environment>/web_page.json`. Nothing else may run meanwhile.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import vision_zoo as vz
from scripts.browser import chromium
from vision_zoo.core import json_file
from vision_zoo.core.environment import describe
from vision_zoo.core.model_results import WebPage, WebPageResult
from vision_zoo.core.results import result_path, write_result

ROOT = Path(__file__).resolve().parent.parent
_MODELS = ("small_cnn-mnist", "airbench-mnist", "efficientnet_lite0_fine_tuned-cifar10-int8")
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


def measure(model: str, repetitions: int) -> tuple[WebPage, str]:
    """Size and times of the page with `model`, and the browser's version."""
    with tempfile.TemporaryDirectory() as folder:
        page = vz.export_html(model, Path(folder) / "page.html")
        found = []
        for _ in range(repetitions):
            with chromium() as browser:
                opened = browser.new_page()
                opened.goto(page.path.as_uri())
                found.append(opened.evaluate(_FIRST_ANSWER))
                version = browser.version
    first = [one["first"] for one in found]
    measured = WebPage(
        models=page.models,
        bytes=page.size,
        repetitions=repetitions,
        median_first_answer_seconds=round(statistics.median(first), 3),
        largest_first_answer_seconds=round(max(first), 3),
        warm_milliseconds=round(statistics.median(one["warm"] for one in found), 2),
    )
    return measured, f"Chromium {version}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", default=_MODELS, metavar="MODEL")
    parser.add_argument("--repetitions", type=int, default=_REPETITIONS)
    parser.add_argument("--results-dir", type=Path, default=ROOT / "results")
    options = parser.parse_args()
    measured = [measure(model, options.repetitions) for model in options.models]
    environment = describe()
    document = WebPageResult(
        environment=environment, browser=measured[0][1], pages=[page for page, _ in measured]
    )
    write_result(result_path(options.results_dir, environment, "web_page"), document)
    print(json_file.text(document))


if __name__ == "__main__":
    main()
