"""Copies of the SDK's clients that lose nothing: the SDK's own `copy` forgets some of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Final

__all__ = ["copied", "overridden"]

_FORGOTTEN: Final = ("_strict_response_validation", "_idempotency_header")
_AZURE: Final = ("_azure_endpoint", "_azure_deployment")


def copied(client: Any, copy: Callable[..., Any], options: Mapping[str, Any]) -> Any:
    """Copy a client with the SDK's `copy`, and give the copy what that leaves out.

    These are settings that the SDK forgets, and what its user or a subclass keeps on the instance.
    What belongs to the client given, such as its resources, stays with it.
    """
    asked = dict(options)
    if "_enforce_credentials" in inspect.signature(copy).parameters:
        # Credentials were looked for when the client was made: they may be in its headers only.
        asked.setdefault("_enforce_credentials", False)
    made = copy(**asked)
    _carry(client, made, _FORGOTTEN)
    if "base_url" not in options:  # early 2.x copies forget the address of what is in no deployment
        _carry(client, made, _AZURE)
    _carry(client, made, _names_on(client) - (_names_on(made) & _names_of_the_sdk(client)))
    return made


def overridden(owner: object) -> Iterator[str]:
    """The methods of a client and its resources that were replaced on this one instance."""
    for name, value in vars(owner).items():
        known = inspect.getattr_static(type(owner), name, None)
        if inspect.isfunction(known):
            yield name
        elif isinstance(known, cached_property) and hasattr(value, "__dict__"):
            yield from (f"{name}.{inner}" for inner in overridden(value))


def _carry(client: object, made: object, names: Iterable[str]) -> None:
    for name in names:
        value = vars(client).get(name)
        is_resource = hasattr(value, "__dict__") and client in vars(value).values()
        if not (value is None or is_resource or hasattr(type(client), name)):
            setattr(made, name, value)


def _names_of_the_sdk(client: Any) -> set[str]:
    """What the SDK itself keeps on an instance, whatever a subclass adds."""
    own: type[Any] = client.__class__
    kind: Any = next(base for base in own.__mro__ if base.__module__.partition(".")[0] == "openai")
    if kind is own:
        return _names_on(client)
    more = {"base_url": "http://any"}
    if "Azure" in kind.__name__:
        more = {"azure_endpoint": "http://any", "api_version": "any"}
    return _names_on(kind(api_key="any", http_client=client._client, **more))  # noqa: SLF001


def _names_on(instance: object) -> set[str]:
    return set(vars(instance))
