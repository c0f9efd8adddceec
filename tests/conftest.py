"""What holds for all tests."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# A machine that is busy with something else is no reason to fail.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are cores: many tests wait for time to pass."""
    return (os.cpu_count() or 1) + 1
