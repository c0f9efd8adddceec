"""The house is as it is drawn: few rooms, one way down, no circle, and each rule can be broken."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docs.rooms import (
    ADAPTERS,
    CORE,
    PAGE,
    drawn,
    floors,
    imports_between,
    rooms_of,
    rooms_of_the_house,
    without_detours,
)

ROOT = Path(__file__).parents[2]
CONTRACTS: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))[
    "tool"
]["importlinter"]["contracts"]
NAMES = [contract["name"] for contract in CONTRACTS]
PACKAGES = {
    "usagestream": "adapters/usagestream",
    ADAPTERS: f"adapters/{ADAPTERS}",
    CORE: f"core/{CORE}",
}


@pytest.mark.parametrize("rooms", [rooms_of_the_house(), rooms_of(CORE)], ids=["house", "core"])
def test_no_arrow_points_up_and_there_is_no_circle(rooms: dict[str, str]) -> None:
    """Every room imports from floors below its own only; type-checking imports count."""
    arrows = imports_between(rooms)
    level = {room: number for number, floor in enumerate(floors(arrows)) for room in floor}
    assert [(a, b) for a, below in arrows.items() for b in below if level[b] <= level[a]] == []


@pytest.mark.parametrize("package", [ADAPTERS, CORE])
def test_a_package_has_few_rooms(package: str) -> None:
    """No more than a reader can keep in mind."""
    assert len(rooms_of(package)) <= 18


def test_the_house_has_few_rooms() -> None:
    """The adapters, the door and the core together: what the picture at the top shows."""
    assert len(set(rooms_of_the_house().values())) <= 18


def test_every_room_says_what_lives_there() -> None:
    """In one sentence at its top, which the page shows."""
    for package in (ADAPTERS, CORE):
        for room in rooms_of(package):
            sentence, _, _ = (importlib.import_module(room).__doc__ or "").partition("\n\n")
            assert sentence.strip().endswith("."), room


def test_the_page_shows_the_house_as_it_is() -> None:
    """`uv run poe rooms` would change nothing."""
    page = PAGE.read_text("utf-8")
    assert drawn(page) == page, "run `uv run poe rooms`"


def test_no_module_leaves_types_unchecked() -> None:
    """No rule of the type checker is switched off for a whole file: JSON has types and guards."""
    for package in PACKAGES.values():
        for file in (ROOT / package).rglob("*.py"):
            lines = file.read_text("utf-8").splitlines()
            assert [line for line in lines if line.startswith("# pyright:")] == [], file


def test_a_circle_has_no_floors() -> None:
    """Who draws a circle is told who is in it."""
    with pytest.raises(ValueError, match="A circle: a, b"):
        floors({"a": {"b"}, "b": {"a"}, "c": set()})


def test_an_arrow_that_says_nothing_new_is_left_out() -> None:
    """It says nothing that the longer way does not say."""
    assert without_detours({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {
        "a": {"b"},
        "b": {"c"},
        "c": set(),
    }


class House:
    """A copy of the sources, to spoil."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        for source in PACKAGES.values():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / source, folder / source, ignore=ignored)
        shutil.copy(ROOT / "pyproject.toml", folder)

    def file(self, module: str) -> Path:
        """Where a module lives; where it would, if there is none."""
        package, _, rest = module.partition(".")
        path = self.path / PACKAGES[package] / rest.replace(".", "/")
        return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")

    def broken(self) -> list[str]:
        """Names of the contracts that do not hold."""
        roots = os.pathsep.join(str(self.path / root) for root in ("core", "adapters"))
        result = subprocess.run(
            [Path(sys.executable).with_name("lint-imports"), "--no-logo"],
            cwd=self.path,
            env={**os.environ, "PYTHONPATH": roots, "COLUMNS": "200", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        verdicts = dict(re.findall(r"^(.+) (KEPT|BROKEN)\b", result.stdout, re.MULTILINE))
        assert set(verdicts) == set(NAMES), result.stdout + result.stderr
        assert (result.returncode != 0) == ("BROKEN" in verdicts.values())
        return [name for name, verdict in verdicts.items() if verdict == "BROKEN"]

    def with_lines(self, lines: dict[str, str]) -> list[str]:
        """Names of the contracts that do not hold with these lines at the end of modules."""
        files = {self.file(module): line for module, line in lines.items()}
        before = {file: file.read_bytes() if file.exists() else None for file in files}
        try:
            for file, line in files.items():
                file.write_bytes((before[file] or b"") + f"\n{line}\n".encode())
            return self.broken()
        finally:
            for file, content in before.items():
                if content is None:
                    file.unlink()
                else:
                    file.write_bytes(content)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """One copy for all."""
    return House(tmp_path_factory.mktemp("house"))


def _flat(layers: list[str]) -> list[list[str]]:
    return [[name.strip() for name in layer.split("|")] for layer in layers]


def _violations(contract: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Ways to break a contract, as lines at the end of modules."""
    match contract["type"]:
        case "layers":
            for container in contract.get("containers", [""]):
                prefix = f"{container}." if container else ""
                highest, *_, lowest = _flat(contract["layers"])
                yield {prefix + lowest[0]: f"import {prefix}{highest[0]}"}
                checked_only = f"if TYPE_CHECKING:\n    import {prefix}{highest[0]}"
                yield {prefix + lowest[0]: f"from typing import TYPE_CHECKING\n{checked_only}"}
                if contract.get("exhaustive"):
                    yield {f"{container}.attic": "'''A room without a floor.'''"}
        case "acyclic_siblings":
            for package in contract["ancestors"]:
                room = next(each for each in rooms_of(package) if _is_folder(each))
                yield {
                    f"{room}.first": f"import {room}.second",
                    f"{room}.second": f"import {room}.first",
                }
        case "private_modules":
            yield {
                f"{CORE}.streams._hidden": "'''Nobody else's business.'''",
                f"{CORE}.client": f"import {CORE}.streams._hidden",
            }
        case "forbidden":
            for name in contract["forbidden_modules"]:
                yield {f"{CORE}.streams.more": f"import {name}"}
        case kind:
            pytest.fail(f"Say here how a contract of type {kind} is broken")


def _is_folder(room: str) -> bool:
    return hasattr(importlib.import_module(room), "__path__")


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("contract", [None, *CONTRACTS], ids=["none", *NAMES])
def test_each_contract_can_be_broken(house: House, contract: dict[str, Any] | None) -> None:
    """A contract fails when it is broken on purpose; and the house as it is breaks none."""
    if contract is None:
        assert house.broken() == []
        return
    for lines in _violations(contract):
        assert contract["name"] in house.with_lines(lines), lines


def test_every_decision_is_listed() -> None:
    """And says what was decided, why, and what it costs."""
    folder = ROOT / "docs" / "decisions"
    files = {file.name for file in folder.glob("*.md")} - {"README.md"}
    assert set(re.findall(r"\]\((.+?\.md)\)", (folder / "README.md").read_text("utf-8"))) == files
    for name in files:
        text = (folder / name).read_text("utf-8")
        assert all(part in text for part in ("**Decided.**", "**Why.**", "**It costs**")), name


def test_every_link_of_every_page_leads_somewhere() -> None:
    """From one page to another, and to a heading that is there."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    lost: list[str] = []
    for page in pages:
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text("utf-8")):
            file, _, heading = target.partition("#")
            there = (page.parent / file).resolve() if file else page
            if not there.exists() or (heading and heading not in _headings(there)):
                lost.append(f"{page.name}: {target}")
    assert lost == []


def _headings(page: Path) -> set[str]:
    """The names that a rendered page gives its headings."""
    found = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in found}
