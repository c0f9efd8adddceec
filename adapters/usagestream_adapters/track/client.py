"""Tracks an SDK client through what the SDK and its HTTP library offer in public.

`copy(http_client=...)` makes the new client, so that it has its own type and settings. Every way of
calling ends in its `request`, which is where a call begins and is refused; the response of each
attempt comes through `send` of the HTTP client, which is where the body is seen. Both are replaced
on the new client alone: neither the SDK's modules nor the caller's own client are touched.
"""

# The SDK's clients differ by version and HTTP library, so that what is common is not typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeVar

from usagestream_core.errors import ConfigError
from usagestream_core.estimates.estimate import CounterChoice, find_counter
from usagestream_core.pricing import PricerChoice, costs_by, find_pricer
from usagestream_core.records.sinks import is_async

from .calls import Tracker
from .http import is_metered, metered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openai import AsyncOpenAI, OpenAI

    from usagestream_core.record import UsageRecord

__all__ = ["track"]

ClientT = TypeVar("ClientT", bound="OpenAI | AsyncOpenAI")


def track(
    client: ClientT,
    *,
    on_record: Callable[[UsageRecord], object] | None = None,
    tags: Mapping[str, str] | None = None,
    token_counter: CounterChoice = "auto",  # noqa: S107 - not that kind of token
    pricer: PricerChoice = "auto",
) -> ClientT:
    """Give a client like this one whose calls are counted; the one given stays as it is.

    `on_record` is called once for each call of chat completions or responses, streamed or not, with
    its `UsageRecord`; what it raises is logged and never reaches the call. For an async client it
    may be async: it runs in the background then, on asyncio. Other endpoints pass through. `tags`
    are copied to each record. Copies made of the new client (`with_options`) are tracked like it.
    Both clients share their connections: closing one closes both, as with any copy the SDK makes.

    Streams ask for usage wherever it is accepted, and what the caller did not ask for is taken out
    again: objects and their order are those of an untracked client.

    What nobody reported is estimated with `token_counter`: by default the installed one, if there
    is one; `None` estimates nothing. `pricer` gives records their cost, as for `Client`.

    Raises `ConfigError` for a client that is tracked already, whose calls would count twice, and
    `TypeError` for what is no client of the SDK's, and an async `on_record` of a sync client.
    """
    if not hasattr(client, "_client"):
        raise TypeError(
            f"track() takes a client of the openai SDK, not {type(client).__name__}; clients of "
            "usagestream count their streams themselves"
        )
    if is_metered(client._client):  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - as below
        raise ConfigError("This client is tracked already: track the one that it was made of.")
    if is_async(on_record) and not inspect.iscoroutinefunction(client.request):
        raise TypeError(
            "on_record of a sync client is an ordinary function; async clients await one"
        )
    costs = costs_by(find_pricer(pricer))
    tracker = Tracker(on_record, tags, find_counter(token_counter), costs)
    tracked: ClientT = _tracked(client, client.copy, tracker, {})
    return tracked


def _tracked(
    client: Any, copy: Callable[..., Any], tracker: Tracker, options: dict[str, Any]
) -> Any:
    """Make a tracked copy. `copy` is the SDK's own; that of a tracked client is replaced."""
    # The one private name: the SDK shows its HTTP client nowhere, and a copy that is made without
    # one would get the same from here.
    inner = options.pop("http_client", None) or client._client  # noqa: SLF001
    made = copy(http_client=metered(inner), **options)
    _keep_azure_address(client, made, options)
    plain_request, plain_copy = made.request, made.copy

    def request(cast_to: Any, options: Any, **how: Any) -> Any:
        return tracker.call(made, plain_request, cast_to, options, how)

    async def arequest(cast_to: Any, options: Any, **how: Any) -> Any:
        return await tracker.acall(made, plain_request, cast_to, options, how)

    def copy_tracked(**options: Any) -> Any:
        return _tracked(made, plain_copy, tracker, options)

    made.request = arequest if inspect.iscoroutinefunction(plain_request) else request
    made.copy = made.with_options = copy_tracked
    return made


def _keep_azure_address(client: Any, made: Any, options: Mapping[str, Any]) -> None:
    """Early 2.x copies of an Azure client forget the address of what is in no deployment."""
    if "base_url" in options:
        return
    for name in ("_azure_endpoint", "_azure_deployment"):
        if getattr(client, name, None) is not None:
            setattr(made, name, getattr(client, name))
