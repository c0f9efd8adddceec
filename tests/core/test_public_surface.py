"""What can be imported, and what importing it costs."""

from __future__ import annotations

import importlib
import pickle
import pkgutil
import subprocess
import sys
from importlib.metadata import version
from types import ModuleType

import pytest

import usagestream
import usagestream_adapters
import usagestream_core

TYPES_ONLY = "usagestream_core.streams.params"
PUBLIC = sorted(
    module.name
    for module in pkgutil.walk_packages(usagestream_core.__path__, "usagestream_core.")
    if not module.ispkg and "._" not in module.name and module.name != TYPES_ONLY
)


def test_all_is_without_doubles() -> None:
    """Each name stands in the list once, and `dir` shows it before it is loaded."""
    assert len(usagestream.__all__) == len(set(usagestream.__all__))
    assert set(usagestream.__all__) <= set(dir(usagestream))


@pytest.mark.parametrize("name", usagestream.__all__)
def test_every_export_is_there(name: str) -> None:
    """What `__all__` names exists, and says that it is imported from the door."""
    value = getattr(usagestream, name)
    if not isinstance(value, str | ModuleType):
        assert value.__module__ == "usagestream"


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """The door does not swallow a misspelling."""
    with pytest.raises(AttributeError, match="no attribute 'Clinet'"):
        getattr(usagestream, "Clinet")  # noqa: B009


def test_what_the_adapters_show_of_themselves() -> None:
    """A decoder for adapters of one's own, and nothing else."""
    assert usagestream_adapters.ChatDecoder.__name__ == "ChatDecoder"
    assert not hasattr(usagestream_adapters, "Client")


def test_the_version_is_that_of_the_installed_package() -> None:
    """What is shown is what pip would say."""
    assert usagestream.__version__ == version("usagestream")


def test_a_record_pickles_by_the_door() -> None:
    """A pickle names the place that users import from, which stays when rooms move."""
    usage = usagestream.Usage(input_tokens=1, source=usagestream.UsageSource.REPORTED)
    pickled = pickle.dumps(usage)
    assert b"usagestream_core" not in pickled
    assert pickle.loads(pickled) == usage


def test_a_profile_can_be_subclassed_from_the_door() -> None:
    """Pydantic reads the annotations of the base where the base says that it lives."""

    class Mine(usagestream.Profile, frozen=True):
        provider: str = "mine"

    assert Mine(name="a", headers={"x": "y"}).name == "a"


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_module_says_what_it_exports(name: str) -> None:
    """Each has an `__all__`, sorted, of things that exist."""
    module = importlib.import_module(name)
    assert module.__all__ == sorted(module.__all__)
    assert [each for each in module.__all__ if not hasattr(module, each)] == []


@pytest.mark.slow
def test_importing_the_library_loads_nothing_heavy() -> None:
    """An SDK, a server or a terminal library is imported on use only."""
    heavy = ("openai", "azure.identity", "starlette", "uvicorn", "click", "rich")
    code = (
        "import sys, usagestream; from usagestream import Client\n"
        f"print([m for m in {heavy!r} if m in sys.modules],"
        " [m for m in sys.modules if m.startswith('usagestream_adapters')])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout == "[] []\n"


@pytest.mark.slow
def test_importing_the_library_does_only_what_a_client_needs() -> None:
    """Whom nothing is asked of is not loaded; no source is parsed in order to describe fields."""
    late = ["profiles.listing", "profiles.trust", "records.report"]
    late = ["asyncio", *(f"usagestream_core.{name}" for name in late)]
    code = (
        "import ast, sys, pydantic\n"
        "ast.parse = None\n"
        "from usagestream import Client\n"
        f"print([name for name in {late!r} if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout == "[]\n"


def test_types_for_checkers_cost_nothing_at_run_time() -> None:
    """The module of parameter types can be imported without the SDK that defines them."""
    module = importlib.import_module(TYPES_ONLY)
    assert "ChatParams" not in vars(module)
