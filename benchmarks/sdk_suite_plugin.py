"""A pytest plugin for the SDK's own tests: the clients that they make are tracked.

Loaded by `python -m benchmarks.sdk_suite`, in an environment that has the SDK and its tests. The
clients of fixtures are tracked when the fixture is set up, and those that a test makes since the
names that its module imported stand for the SDK's classes.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import openai
import pytest

from usagestream import ConfigError, track

_NAMES = ("OpenAI", "AsyncOpenAI", "AzureOpenAI", "AsyncAzureOpenAI")
_CLASSES = {name: getattr(openai, name) for name in _NAMES}


def _tracked(client: Any) -> Any:
    try:
        return track(client, token_counter=None, pricer=None)
    except ConfigError:  # made of a tracked one
        return client


class _Standing(type):
    """The type of what stands for one of the SDK's classes: calls of it give tracked clients."""

    def __new__(mcs, name: str, bases: tuple[type, ...], own: dict[str, Any]) -> Any:
        if not bases:
            return super().__new__(mcs, name, bases, own)
        real = tuple(_CLASSES[each.__name__] if type(each) is mcs else each for each in bases)
        return type(real[0])(name, real, own)  # a subclass, of the SDK's own

    def __call__(cls, *args: Any, **how: Any) -> Any:
        return _tracked(_CLASSES[cls.__name__](*args, **how))

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, _CLASSES[cls.__name__])

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _CLASSES[cls.__name__])

    def __getattr__(cls, name: str) -> Any:
        return getattr(_CLASSES[cls.__name__], name)


_STAND = {kind: _Standing(name, (), {}) for name, kind in _CLASSES.items()}


def pytest_collection_finish(session: pytest.Session) -> None:
    """Let the names of test modules stand for tracked clients."""
    for module in {getattr(item, "module", None) for item in session.items}:
        for name, value in vars(module).items() if module else ():
            if isinstance(value, type) and value in _STAND:
                setattr(module, name, _STAND[value])


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """Track the client that a fixture gives."""
    made = yield
    if isinstance(made, tuple(_CLASSES.values())):
        made = _tracked(made)
        assert fixturedef.cached_result is not None
        fixturedef.cached_result = (made, *fixturedef.cached_result[1:])
    return made
