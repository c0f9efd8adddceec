"""Draw the rooms of the house from its imports: `uv run poe rooms` writes them into a page."""

from __future__ import annotations

import ast
import importlib.util
import itertools
import re
from collections.abc import Mapping
from pathlib import Path

import grimp

PAGE = Path(__file__).with_name("architecture.md")
DOOR, ADAPTERS, CORE = "usagestream", "usagestream_adapters", "usagestream_core"
DRAWN = re.compile(r"(<!-- drawn by `uv run poe rooms` -->\n).*?(<!-- end -->)", re.DOTALL)


def imports_between(rooms: Mapping[str, str]) -> dict[str, set[str]]:
    """Say which rooms each room imports, type-checking imports counted.

    `rooms` maps modules to the names of the rooms that they and all below them are.
    """
    graph = grimp.build_graph(DOOR, ADAPTERS, CORE)
    members = {
        name: {module, *graph.find_descendants(module)}
        for module, name in rooms.items()
        if module in graph.modules
    }
    arrows: dict[str, set[str]] = {name: set() for name in members}
    for one, other in itertools.permutations(members, 2):
        if any(
            graph.find_modules_directly_imported_by(module) & members[other]
            for module in members[one]
        ):
            arrows[one].add(other)
    return arrows


def rooms_of(package: str) -> dict[str, str]:
    """Find the rooms of a package: the folders and modules directly in it."""
    graph = grimp.build_graph(DOOR, ADAPTERS, CORE)
    return {child: child.rpartition(".")[2] for child in graph.find_children(package)}


def rooms_of_the_house() -> dict[str, str]:
    """Find the rooms that a reader sees first: the door, the adapters' rooms, and the core."""
    return {DOOR: "the door", **rooms_of(ADAPTERS), CORE: "the core"}


def without_detours(arrows: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Leave out each arrow whose end can be reached by way of another room."""

    def reached(room: str) -> set[str]:
        return arrows[room].union(*(reached(each) for each in arrows[room]))

    return {
        room: {
            target
            for target in targets
            if not any(target in reached(between) for between in targets - {target})
        }
        for room, targets in arrows.items()
    }


def floors(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """Sort rooms into floors, highest first; each imports from floors below its own only.

    Raises:
        ValueError: Rooms import one another in a circle.

    """
    left: dict[str, set[str]] = dict(arrows)
    found: list[list[str]] = []
    while left:
        floor = sorted(room for room, targets in left.items() if not targets & left.keys())
        if not floor:
            raise ValueError(f"A circle: {', '.join(sorted(left))}")
        found.insert(0, floor)
        left = {room: targets for room, targets in left.items() if room not in floor}
    return found


def draw(rooms: Mapping[str, str]) -> str:
    """Draw rooms as a diagram, with a table of what lives in each."""
    arrows = imports_between(rooms)
    modules = {name: module for module, name in rooms.items()}
    highest_first = list(itertools.chain(*floors(arrows)))
    lines = ["```mermaid", "flowchart TD"]
    lines += [f'  {_id(room)}["{room}"]' for room in highest_first]
    lines += [
        f"  {_id(room)} --> {_id(target)}"
        for room in highest_first
        for target in sorted(without_detours(arrows)[room], key=highest_first.index)
    ]
    lines += ["```", "", "| room | what lives there | imports |", "|---|---|---|"]
    for room in highest_first:
        below = ", ".join(sorted(arrows[room], key=highest_first.index)) or "nothing of the house"
        lines.append(f"| `{modules[room]}` | {_first_sentence(modules[room])} | {below} |")
    return "\n".join(lines)


def _id(room: str) -> str:
    return room.strip("_").replace(" ", "_") + "_"


def _first_sentence(module: str) -> str:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    text = ast.get_docstring(ast.parse(Path(spec.origin).read_text("utf-8"))) or ""
    return " ".join(text.partition("\n\n")[0].split()).replace("|", "\\|")


def list_modules(*rooms: str) -> str:
    """List the modules of rooms, with what each of them says of itself."""
    graph = grimp.build_graph(DOOR, ADAPTERS, CORE)
    lines = ["| module | what it does |", "|---|---|"]
    modules = [module for room in rooms for module in sorted(graph.find_children(room))]
    return "\n".join(lines + [f"| `{each}` | {_first_sentence(each)} |" for each in modules])


def drawn(page: str) -> str:
    """Give the page with its drawings made anew."""
    way = [f"{ADAPTERS}.sdk", f"{ADAPTERS}.wire", f"{CORE}.streams", f"{ADAPTERS}.track"]
    drawings = iter([draw(rooms_of_the_house()), draw(rooms_of(CORE)), list_modules(*way)])
    return DRAWN.sub(lambda mark: f"{mark[1]}{next(drawings)}\n{mark[2]}", page)


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text("utf-8")), "utf-8")
