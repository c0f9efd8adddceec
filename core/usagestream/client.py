"""The clients: a profile in, streams out."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Self

from .adapter import Adapter, Request, load_adapter_type
from .config import Profile
from .meter import Call
from .resolve import resolve_profile
from .stream import AsyncStream, AsyncUsageStream, SyncStream, UsageStream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Unpack

    from ._params import ChatParams
    from .record import UsageRecord

__all__ = ["AsyncClient", "Client"]

logger = logging.getLogger("usagestream")


class _Desk:
    """What both clients share: the profile's adapter, checked requests, records handed out."""

    def __init__(
        self,
        profile: Profile | str | Adapter | None = None,
        *,
        on_record: Callable[[UsageRecord], object] | None = None,
        http_client: Any = None,
    ) -> None:
        self._profile_name: str | None = None
        if profile is None or isinstance(profile, str | Profile):
            profile = resolve_profile(profile)
            self._profile_name = profile.name
            profile = load_adapter_type(profile.provider)(profile, http_client=http_client)
        elif http_client is not None:
            raise TypeError("give http_client to the adapter when you make it yourself")
        self._adapter: Adapter = profile
        self._on_record = on_record

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._profile_name or self._adapter.provider}>"

    def _prepare(
        self, tags: Mapping[str, str] | None, params: Mapping[str, Any]
    ) -> tuple[Adapter, Request, Call, Callable[[UsageRecord], None]]:
        """Check what can be checked before anything is sent."""
        rest = dict(params)
        if "stream" in rest:
            raise TypeError("stream() always streams: leave the parameter `stream` out")
        model = rest.pop("model", None)
        if not isinstance(model, str) or not model:
            raise TypeError(f"stream() needs model=..., a non-empty string, not {model!r}")
        if "messages" not in rest:
            raise TypeError("stream() needs messages=[...]")
        call = Call(
            provider=self._adapter.provider,
            profile=self._profile_name,
            target=self._adapter.target(model),
            model=model,
            tags=dict(tags or {}),
        )
        return self._adapter, Request(model=model, params=rest), call, self._deliver

    def _deliver(self, record: UsageRecord) -> None:
        """Hand the record over. What goes wrong there is logged: the stream is not its business."""
        if self._on_record is None:
            return
        try:
            self._on_record(record)
        except Exception:
            logger.exception("on_record raised; the record %s of this stream is lost", record.id)


class Client(_Desk):
    """Streams chat completions from the provider that a profile names.

    `profile` is a profile, the name of one, an adapter that you made yourself, or `None` for the
    profile that the environment describes.
    `on_record` is called once for each stream with its `UsageRecord`; what it raises is logged and
    never reaches the stream. `http_client` is an HTTP client of your own, as the openai SDK takes
    it; closing it stays with you.

    Raises `ConfigError` if the profile is incomplete. Nothing is sent before a stream is entered or
    read. Use it as a context manager, or `close()` it, to let its connections go.
    """

    def stream(
        self, *, tags: Mapping[str, str] | None = None, **params: Unpack[ChatParams]
    ) -> UsageStream:
        """Ask for a streamed answer. Takes what `chat.completions.create` takes, minus `stream`.

        `tags` are copied to the record. Nothing that is passed is changed: a `stream_options` keeps
        its other keys, and its `include_usage` is set as the profile says.

        Raises `ConfigError` or `TypeError`, before anything is sent, for what cannot be asked.
        """
        return SyncStream(*self._prepare(tags, params))

    def close(self) -> None:
        """Close the connections that are kept open between streams."""
        self._adapter.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncClient(_Desk):
    """`Client` for async code; `on_record` is an ordinary function here too."""

    def stream(
        self, *, tags: Mapping[str, str] | None = None, **params: Unpack[ChatParams]
    ) -> AsyncUsageStream:
        """`Client.stream`, without `await`: the request is sent on `async with` or `async for`."""
        return AsyncStream(*self._prepare(tags, params))

    async def close(self) -> None:
        """Close the connections that are kept open between streams."""
        await self._adapter.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
