"""Measure the structure of the package: rooms, arrows between them, and lengths of files.

    python -m scripts.structure

The layers are those of `[tool.importlinter]` in pyproject.toml, which `lint-imports` checks. A room is a module or
package at the top of `vision_zoo`; an arrow is one room importing from another.
"""

import statistics
import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "vision_zoo"


def layers() -> list[str]:
    """The rooms from the top, as the contract orders them."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    contract = next(one for one in tool["importlinter"]["contracts"] if one["id"] == "layers")
    return list(contract["layers"])


def arrows() -> set[tuple[str, str]]:
    """Pairs of rooms, the first of which imports from the second."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    found = set()
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            pair = _room(module), _room(imported)
            if pair[0] != pair[1] and PACKAGE not in pair:
                found.add(pair)
    return found


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else module


def lengths() -> dict[str, int]:
    """Lines of every file of the package, by path."""
    files = sorted((ROOT / PACKAGE).rglob("*.py"))
    return {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in files}


def _circles(pairs: set[tuple[str, str]]) -> int:
    """How many rooms can be reached from themselves."""
    reached = {
        room: {target for source, target in pairs if source == room} for pair in pairs for room in pair
    }
    for _ in reached:
        reached = {
            room: targets.union(*(reached[one] for one in targets)) for room, targets in reached.items()
        }
    return sum(room in targets for room, targets in reached.items())


def main() -> None:
    order = layers()
    rooms = {path.stem for path in (ROOT / PACKAGE).iterdir() if path.is_dir() or path.suffix == ".py"}
    rooms -= {"__init__", "__main__", "__pycache__"}
    pairs = arrows()
    upward = [
        pair for pair in pairs if set(pair) <= set(order) and order.index(pair[0]) > order.index(pair[1])
    ]
    measured = {path: count for path, count in lengths().items() if count}
    longest = max(measured, key=measured.__getitem__)
    flat = [path for path in (ROOT / PACKAGE / "training").glob("*.py") if path.name != "__init__.py"]
    print(f"rooms at the top: {len(rooms)}")
    print(f"arrows between them: {len(pairs)}, upward: {len(upward)}, rooms in circles: {_circles(pairs)}")
    print(f"modules in training: {len(flat)}")
    print(
        f"files: {len(measured)}, lines: {sum(measured.values()):,}, median: {statistics.median(measured.values()):g}, "
        f"longest: {measured[longest]} ({longest})"
    )


if __name__ == "__main__":
    main()
