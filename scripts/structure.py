"""Measure the structure of the package: rooms, arrows between them, and lengths of files.

    python -m scripts.structure

It fails where a target is missed. The layers are those of `[tool.importlinter]` in pyproject.toml, which `lint-imports`
checks. A room is a module or package at the top of `vision_zoo`; an arrow is one room importing from another.
"""

import statistics
import sys
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


def arrows(graph: grimp.ImportGraph) -> set[tuple[str, str]]:
    """Pairs of rooms, the first of which imports from the second."""
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


def small_with_one_user(graph: grimp.ImportGraph, lengths: dict[str, int]) -> list[str]:
    """Paths of modules of under 40 lines that one other module imports, unless that is the registry beside them."""
    small = []
    for path, count in lengths.items():
        module = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        users = graph.find_modules_that_directly_import(module)
        if 0 < count < 40 and len(users) == 1 and users != {module.rpartition(".")[0]}:
            small.append(path)
    return small


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
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    pairs = arrows(graph)
    upward = [
        pair for pair in pairs if set(pair) <= set(order) and order.index(pair[0]) > order.index(pair[1])
    ]
    measured = {path: count for path, count in lengths().items() if count}
    training = [path for path in measured if Path(path).parent == Path(PACKAGE, "training")]
    small = small_with_one_user(graph, measured)
    median = statistics.median(measured.values())
    longest = max(measured, key=measured.__getitem__)
    print(f"files: {len(measured)}, lines: {sum(measured.values()):,}")
    met = [
        _shown("rooms at the top", len(rooms), at_most=15),
        _shown("arrows between them", len(pairs), at_most=75),
        _shown("upward arrows", len(upward), at_most=0),
        _shown("rooms in circles", _circles(pairs), at_most=0),
        _shown("modules in training", len([path for path in training if "__init__" not in path]), at_most=22),
        _shown("modules of under 40 lines with one user", len(small), at_most=0, which=", ".join(small)),
        _shown("lines of the longest file", measured[longest], at_most=300, which=longest),
        _shown("lines of the median file", median, at_least=110),
    ]
    sys.exit(not all(met))


def _shown(
    what: str, value: float, *, at_most: float | None = None, at_least: float | None = None, which: str = ""
) -> bool:
    """Print a value beside its target; whether the target is met."""
    met = (at_most is None or value <= at_most) and (at_least is None or value >= at_least)
    target = f"at least {at_least}" if at_most is None else f"at most {at_most}"
    print(f"{what}: {value:g} ({target}){'' if met else '  MISSED'}{f'  {which}' if which else ''}")
    return met


if __name__ == "__main__":
    main()
