"""What holds for all tests."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

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
settings.load_profile("unhurried")


def pytest_configure(config: pytest.Config) -> None:
    """Let a client that is made trust one certificate, where nobody outside this machine is asked.

    To read all those that the world trusts takes most of the time that a client needs to be made.
    """
    if config.getoption("--record-mode") == "none":
        os.environ["SSL_CERT_FILE"] = str(Path(__file__).parent / "_support" / "nobody.pem")


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
