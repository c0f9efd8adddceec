"""What the calls of one tracked client have in common: how they begin, and are asked again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from usagestream_core.profiles.telemetry import configured_telemetry
from usagestream_core.records.outbox import Outbox
from usagestream_core.records.tags import joined_tags
from usagestream_core.records.telemetry import beside, to_tracked

from ..sdk.addresses import secrets_in_address
from ..sdk.plain_text import text_of
from ..sdk.usage_option import refused_option
from .ask import NOT_TO_ASK, Asking, body_of
from .call import Facts, TrackedCall
from .http import current_call
from .place import endpoint_of, find_place

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator

    from usagestream_core.estimates.estimate import TokenCounter
    from usagestream_core.pricing import CostOf
    from usagestream_core.profiles.configuration import Configuration
    from usagestream_core.record import Api, UsageRecord
    from usagestream_core.records.ledger import Ledger

__all__ = ["Tracker"]

_APIS: Mapping[str, Api] = {"/chat/completions": "chat", "/responses": "responses"}


@dataclass(slots=True)
class _Opening:
    """A call about to be made: with what, and whether that is more than the caller asked for."""

    options: Any
    call: TrackedCall
    place: tuple[str, ...]
    asks_more: bool


class Tracker:
    """Makes the calls of one tracked client and of its copies, and hands out their records."""

    def __init__(
        self,
        on_record: Callable[[UsageRecord], object] | None,
        tags: Mapping[str, str] | None,
        counter: TokenCounter | None,
        flush_timeout: float | None,
        costs: CostOf | None = None,
        ledger: Ledger | None = None,
        configuration: Configuration | None = None,
    ) -> None:
        own = None if on_record is None else to_tracked(on_record)
        telemetry = [to_tracked(sink) for sink in configured_telemetry(configuration)]
        self.outbox = Outbox(beside(own, telemetry), timeout=flush_timeout, ledger=ledger)
        self._counter = counter
        self._costs = costs
        self._tags = joined_tags(tags)
        self._asking = Asking()
        self.hides_usage = True
        """Whether what was not asked for is taken out of streams."""

    def tagged(self, tags: Mapping[str, str]) -> Tracker:
        """The same, with more tags."""
        made = copy(self)
        made._tags = {**self._tags, **tags}  # noqa: SLF001 - it is one of these
        return made

    def call(
        self,
        client: Any,
        request: Callable[..., Any],
        cast_to: Any,
        options: Any,
        how: Mapping[str, Any],
    ) -> Any:
        """Make one call as the SDK would, with its own retries."""
        from openai import APIStatusError

        opening = self._open(client, options)
        if opening is None:
            return request(cast_to, options, **how)
        with _making(opening.call):
            try:
                return request(cast_to, opening.options, **how)
            except APIStatusError as exc:
                if not self._asked_too_much(opening, exc):
                    raise
            return request(cast_to, options, **how)

    async def acall(
        self,
        client: Any,
        request: Callable[..., Awaitable[Any]],
        cast_to: Any,
        options: Any,
        how: Mapping[str, Any],
    ) -> Any:
        """`call` for async code."""
        from openai import APIStatusError

        opening = self._open(client, options)
        if opening is None:
            return await request(cast_to, options, **how)
        with _making(opening.call):
            try:
                return await request(cast_to, opening.options, **how)
            except APIStatusError as exc:
                if not self._asked_too_much(opening, exc):
                    raise
            return await request(cast_to, options, **how)

    def _open(self, client: Any, options: Any) -> _Opening | None:
        """Prepare a call; `None` for an endpoint that is not counted."""
        api = _api_of(options)
        if api is None:
            return None
        body = body_of(options)
        facts = Facts(
            api=api,
            base_url=str(client.base_url),
            model=str(body.get("model") or ""),
            body=body,
            secrets=_secrets_of(client),
            tags=joined_tags(client=self._tags),
            is_azure=hasattr(client, "_azure_endpoint"),
            costs=self._costs,
        )
        place = find_place(client, options, facts.model)
        asking = self._asking.of(options, body, place) if api == "chat" else NOT_TO_ASK
        call = TrackedCall(
            facts,
            self.outbox,
            hides_usage=asking.options is not None and self.hides_usage,
            usage_request=asking.usage_request,
            counter=self._counter,
        )
        asks_more = asking.options is not None
        return _Opening(asking.options if asks_more else options, call, place, asks_more)

    def _asked_too_much(self, opening: _Opening, exc: Any) -> bool:
        """Whether the call was refused for what we added to it, and is to be made without."""
        conversation = body_of(opening.options).get("messages")
        if not opening.asks_more:
            return False
        if refused_option(exc.status_code, text_of(exc.response), conversation) is None:
            return False
        self._asking.refused(opening.place)
        opening.call.hides_usage = False
        opening.call.usage_request = "refused"
        opening.call.reopenings += 1
        return True


def _api_of(options: Any) -> Api | None:
    """Which wire a request speaks; `None` for one that is not counted."""
    if str(options.method).lower() != "post" or not isinstance(options.json_data, Mapping):
        return None
    path = endpoint_of(options.url)
    return next((api for end, api in _APIS.items() if path.endswith(end)), None)


@contextmanager
def _making(call: TrackedCall) -> Generator[None]:
    """Let responses find their call, for as long as the SDK makes the call."""
    token = current_call.set(call)
    try:
        yield
    except BaseException as exc:
        call.refused(exc)
        raise
    finally:
        current_call.reset(token)


def _secrets_of(client: Any) -> tuple[str, ...]:
    """What the client sends and no record is to show: keys, headers of the caller's, a password."""
    token = getattr(client, "_azure_ad_token", None)
    headers: Mapping[str, Any] = getattr(client, "_custom_headers", None) or {}
    texts = (client.api_key, token, *headers.values(), *secrets_in_address(str(client.base_url)))
    return tuple(text for text in texts if isinstance(text, str) and text)
