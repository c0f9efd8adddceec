"""What holds for all tests."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Where nothing may be written beside the sources, what is compiled is kept with what pytest keeps:
# many tests start a Python, or import anew, and would compile the SDK and all it needs each time.
if sys.dont_write_bytecode:
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(Path(__file__).parents[1] / ".pytest_cache" / "bytecode")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix

# A machine that is busy with something else is no reason to fail.
settings.register_profile("unhurried", deadline=None)
settings.register_profile("quick", settings.get_profile("unhurried"), max_examples=25)
settings.load_profile("unhurried")

_collect = gc.collect


def collect(generation: int = 2) -> int:
    """Collect for certain: `gc.collect` does nothing while another thread is at it."""
    here, began = threading.get_ident(), list[int]()

    def note(phase: str, _: dict[str, int]) -> None:
        if phase == "start" and threading.get_ident() == here:
            began.append(here)

    gc.callbacks.append(note)
    try:
        found = _collect(generation)
        for _ in range(1000):  # unless this thread is at it itself, and a finalizer has asked
            if began:
                break
            time.sleep(0.005)
            found = _collect(generation)
    finally:
        gc.callbacks.remove(note)
    return found


gc.collect = collect


def pytest_configure(config: pytest.Config) -> None:
    """Spare the quick loop examples, and each client that is made the reading of certificates.

    Of those that the world trusts it would be many; where nobody outside this machine is asked,
    there is one, of nobody.
    """
    if "not slow" in str(config.getoption("-m")):
        settings.load_profile("quick")
    if config.getoption("--record-mode") == "none":
        os.environ["SSL_CERT_FILE"] = str(Path(__file__).parent / "_support" / "nobody.pem")


_quick: list[str] = []
"""The test that runs now, if it is one of the quick loop."""


def _start_no_python(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "subprocess.Popen" and _quick:
        program = Path(os.fsdecode(arguments[0]))
        if program.parent == Path(sys.executable).parent:
            raise AssertionError(f"{_quick[0]} starts {program.name}, which is slow: mark it so")


sys.addaudithook(_start_no_python)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Whoever runs a pytest inside is slow."""
    if "pytester" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let no test of the quick loop start a Python, or a program of its environment."""
    if not any(item.get_closest_marker(name) for name in ("slow", "exhaustive")):
        _quick.append(item.nodeid)
    try:
        return (yield)
    finally:
        _quick.clear()


@pytest.fixture(autouse=True, scope="module")
def little_garbage() -> None:
    """Let what is there by now be looked through by no collection that a test asks for.

    All modules of the SDK take a second to walk on a busy machine, in which no thread gets on.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are cores: many tests wait for time to pass."""
    return (os.cpu_count() or 1) + 1
