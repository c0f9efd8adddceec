"""Tracks an SDK client through what the SDK and its HTTP library offer in public.

`copy(http_client=...)` makes the new client, so that it has its own type and settings. Every way of
calling ends in its `request`, which is where a call begins and is refused; the response of each
attempt comes through `send` of the HTTP client, which is where the body is seen. Both are replaced
on the new client alone: neither the SDK's modules nor the caller's own client are touched.
"""

from __future__ import annotations

import inspect
import warnings
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from usagestream_core.errors import ConfigError
from usagestream_core.estimates.estimate import CounterChoice, find_counter
from usagestream_core.pricing import PricerChoice, costs_by, find_pricer
from usagestream_core.profiles.configuration import Configuration
from usagestream_core.profiles.ledgers import find_ledger
from usagestream_core.records.ledger import LedgerChoice
from usagestream_core.records.outbox import FLUSH_TIMEOUT, is_async

from ._copying import copied, overridden
from ._decoder import decode_once
from ._objects import make_objects
from ._sparing import Sparing
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
    ledger: LedgerChoice = "auto",
    hide_usage: bool = True,
    fast: bool = True,
    flush_timeout: float | None = FLUSH_TIMEOUT,
) -> ClientT:
    """Give a client like this one whose calls are counted; the one given stays as it is.

    `on_record` is called once for each call of chat completions or responses, streamed or not, with
    its `UsageRecord`; what it raises is logged and never reaches the call. For an async client it
    may be async: it runs in the background then, on asyncio. Other endpoints pass through. `tags`
    are copied to each record; `usage_tags` adds to them, and so does the new client's
    `with_tags(name="value")` for a copy. Copies made of it (`with_options`) are tracked like it.
    Both clients share their connections: closing one closes both, as with any copy the SDK makes.
    Closing the new one, and the end of the interpreter, also wait for `on_record`, for
    `flush_timeout` seconds; `None` waits for as long as it takes.

    Streams ask for usage wherever it is accepted, and what the caller did not ask for is taken out
    again: objects and their order are those of an untracked client. So is what a server would have
    sent unasked in a chunk without choices, which looks the same: `hide_usage=False` shows both.

    The objects of streams are the SDK's own in all that shows, made in a shorter way, and what is
    sent is what the SDK would send, of a conversation that is JSON already without its walk through
    it. `fast=False` does both as the SDK does, and so does what is not as known: an SDK, a client,
    a frame, a conversation.

    What nobody reported is estimated with `token_counter`: by default the installed one, if there
    is one; `None` estimates nothing. `pricer` gives records their cost, and `ledger` keeps
    them, as for `Client`.

    Raises `ConfigError` for a client that is tracked already, whose calls would count twice, and
    `TypeError` for what is no client of the SDK's, and an async `on_record` of a sync client. Warns
    of methods that were replaced on the instance, which the new client does not have.
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
    configuration = Configuration()
    costs = costs_by(find_pricer(pricer, configuration))
    replaced = ", ".join(overridden(client))
    if replaced:
        warnings.warn(
            f"{replaced} of this client was replaced, by instrumentation perhaps. That stays with "
            "the client given: track it first, and instrument what track() gives.",
            stacklevel=2,
        )
    counter, kept_in = find_counter(token_counter), find_ledger(ledger, configuration)
    tracker = Tracker(on_record, tags, counter, flush_timeout, costs, kept_in, configuration)
    tracker.hides_usage = hide_usage
    tracked: ClientT = _tracked(client, client.copy, tracker, {}, fast=fast)
    return tracked


def _tracked(
    client: Any,
    copy: Callable[..., Any],
    tracker: Tracker,
    options: dict[str, Any],
    *,
    fast: bool,
) -> Any:
    """Make a tracked copy. `copy` is the SDK's own; that of a tracked client is replaced."""
    # The one private name: the SDK shows its HTTP client nowhere, and a copy that is made without
    # one would get the same from here.
    inner = options.pop("http_client", None) or client._client  # noqa: SLF001
    made = copied(client, copy, {**options, "http_client": metered(inner)})
    plain_request, plain_copy, plain_close = made.request, made.copy, made.close

    sparing = Sparing(made if fast else None)

    @wraps(plain_request)
    def request(cast_to: Any, options: Any, **how: Any) -> Any:
        sparing.begin()  # what has been loaded since: this call is one that the SDK walked through
        return tracker.call(made, plain_request, cast_to, options, how)

    @wraps(plain_request)
    async def arequest(cast_to: Any, options: Any, **how: Any) -> Any:
        sparing.begin()
        return await tracker.acall(made, plain_request, cast_to, options, how)

    @wraps(plain_copy)
    def copy_tracked(**options: Any) -> Any:
        return _tracked(made, plain_copy, tracker, options, fast=fast)

    def with_tags(tags: Mapping[str, str] | None = None, /, **more: str) -> Any:
        """Give a copy whose records have these tags too."""
        return _tracked(made, plain_copy, tracker.tagged({**(tags or {}), **more}), {}, fast=fast)

    def close() -> None:
        tracker.outbox.wait()
        plain_close()

    async def aclose() -> None:
        await tracker.outbox.flush()
        await plain_close()

    is_async_client = inspect.iscoroutinefunction(plain_request)
    made.request = arequest if is_async_client else request
    made.close = aclose if is_async_client else close
    made.copy = made.with_options = copy_tracked
    made.with_tags = with_tags
    if fast:
        make_objects(made)
        decode_once(made)
    sparing.begin()
    return made
