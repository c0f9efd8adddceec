"""What is said of mutants that no test can kill."""

from __future__ import annotations

import importlib.util
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / ".ci"
SETTINGS = tomllib.loads((FOLDER / "mutants.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def command() -> Any:
    """The command, which is no module of a package."""
    spec = importlib.util.spec_from_file_location("usagestream_ci_mutants", FOLDER / "mutants.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("module", SETTINGS["modules"])
def test_each_named_is_a_mutant_and_has_its_reason(module: str, command: Any) -> None:
    """One whose code is gone is to go from the list, too."""
    source = command.file_of(module).read_text("utf-8")
    there = {mutant.name for mutant in command.mutants(module, source)}
    named: dict[str, str] = SETTINGS["equivalents"][module]
    assert named.keys() - there == set()
    assert all(len(reason.split()) > 3 for reason in named.values())


def test_whoever_is_named_is_looked_at() -> None:
    """And its tests are there."""
    assert SETTINGS["equivalents"].keys() == SETTINGS["modules"].keys()
    for tests in SETTINGS["modules"].values():
        assert [test for test in tests if not (FOLDER.parent / test).exists()] == []
