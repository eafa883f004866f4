"""Generate parts of the documents from `results/`, or check that they are up to date.

A generated part of a Markdown file stands between `<!-- generated: NAME -->` and `<!-- end -->`.

    python -m scripts.update_documents            rewrite
    python -m scripts.update_documents --check    exit with 1 where a document has drifted
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

from scripts.figures import (
    digits,
    gpu,
    inference,
    layout,
    modern,
    optimize,
    own_folder,
    runs,
    runtimes,
    sentences,
    server,
    training,
    uncertainty,
    web_page,
    zoo,
)
from scripts.figures.sources import Results, load_results
from vision_zoo.core import atomic
from vision_zoo.core.errors import DataError
from vision_zoo.experiments import report
from vision_zoo.experiments.report.claims import page
from vision_zoo.experiments.report.model_card import model_card

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "docs/BENCHMARKS.md")
REPORT = "docs/RESULTS.md"
CLAIMS = "docs/CLAIMS.md"
RUNS = ROOT / "docs" / "images" / "recipes"
PICTURES: dict[str, Callable[[Results], str]] = {
    "docs/images/zoo.svg": zoo.picture,
    "docs/images/server.svg": server.picture,
    "docs/images/training.svg": training.picture,
}
_PART = re.compile(r"(<!-- generated: (?P<name>[a-z_]+) -->\n).*?(<!-- end -->)", re.DOTALL)

GENERATED: dict[str, Callable[[Results], str]] = {
    "zoo": zoo.table,
    "zoo_front": zoo.front,
    "inference": inference.table,
    "digits": digits.table,
    "runtimes": runtimes.table,
    "optimize": optimize.table,
    "server": server.table,
    "server_cpu": server.cpu,
    "server_load": server.load,
    "training": training.table,
    "training_beside_others": training.beside_others,
    "training_profile": training.step_profile,
    "training_precision": training.precision,
    "training_speedups": training.speedups,
    "gpu": gpu.table,
    "modern": modern.table,
    "own_folder": own_folder.comparisons,
    "own_folder_unusual": own_folder.unusual,
    "own_folder_options": own_folder.options,
    "own_folder_distillation": own_folder.distillation,
    "own_folder_backbones": own_folder.backbones,
    "own_folder_audit": own_folder.audits,
    "uncertainty": uncertainty.table,
    "web_page": web_page.table,
    "layout": layout.tree,
    "reproduction": sentences.reproduction_sentence,
    "quickstart": sentences.quickstart_sentence,
}


def rewritten(text: str, results: Results) -> str:
    """Return `text` with every generated part replaced."""
    return _PART.sub(lambda part: f"{part[1]}{GENERATED[part['name']](results)}\n{part[3]}", text)


def _draw_runs(*, check: bool) -> list[str]:
    """Draw the pictures of runs that are out of date, unless `check`; return their names and those of left ones."""
    pictures = list(runs.pictures(ROOT / "results"))
    drifted = [picture for picture in pictures if not picture.is_drawn(RUNS)]
    left = {path.name for path in RUNS.glob("*.png")} - {picture.name for picture in pictures}
    if not check:
        for picture in drifted:
            try:
                atomic.write_bytes(RUNS / picture.name, picture.png())
            except DataError as error:
                sys.exit(f"error: {picture.name} shows test images: {error}; or set VISION_ZOO_DATA")
        for name in left:
            (RUNS / name).unlink()
    return [f"docs/images/recipes/{name}" for name in sorted({picture.name for picture in drifted} | left)]


def main() -> None:
    check = "--check" in sys.argv[1:]
    results = load_results(ROOT)
    drifted = _draw_runs(check=check)
    wanted = {name: rewritten((ROOT / name).read_text(), results) for name in DOCUMENTS}
    wanted |= {name: draw(results) for name, draw in PICTURES.items()}
    wanted[REPORT] = report.text(ROOT / REPORT, ROOT / "results")
    wanted |= {
        f"docs/cards/{path.stem}.md": model_card(path, ROOT / "results")
        for path in sorted((ROOT / "exported").glob("*.onnx"))
    }
    wanted[CLAIMS] = page.text(ROOT / "results")
    for name, new in wanted.items():
        path = ROOT / name
        if not path.exists() or new != path.read_text():
            drifted.append(name)
            if not check:
                atomic.make_folder(path.parent)
                atomic.write_text(path, new)
    for card in sorted((ROOT / "docs" / "cards").glob("*.md")):
        if f"docs/cards/{card.name}" not in wanted:  # of a model that is no longer shipped
            drifted.append(f"docs/cards/{card.name}")
            if not check:
                card.unlink()
    if check and drifted:
        sys.exit(f"error: {', '.join(drifted)} do not match results/; run `make docs`")


if __name__ == "__main__":
    main()
