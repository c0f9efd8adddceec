"""What both adapters share of the openai SDK: opening the raw stream.

The SDK keeps retries before the first byte, time-outs, proxies, credentials and addresses. The
body is read here, since the SDK's own iteration drops usage and costs most of the CPU.
"""

# JSON from the wire has no static type and every value is checked before use, but pyright makes
# dict[Unknown, Unknown] of an Any that was checked to be a dict.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

from usagestream.adapter import Decoder, Head, Request, Target
from usagestream.config import Profile
from usagestream.errors import ConfigError

from ._chat_wire import ChatDecoder
from ._errors import translate
from ._responses_wire import ResponsesDecoder
from ._sdk_streams import SdkAsyncByteStream, SdkByteStream

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

__all__ = ["SdkAdapter"]

ClientT = TypeVar("ClientT")


class SdkAdapter:
    """An adapter over an SDK client. A subclass says which client, and where requests go."""

    provider: ClassVar[str]
    profile_type: ClassVar[type[Profile]]

    def __init__(self, profile: Profile, *, http_client: Any = None) -> None:
        self._settings = profile
        self._http_client = http_client

    def _make_client(self) -> OpenAI:
        raise NotImplementedError

    def _make_async_client(self) -> AsyncOpenAI:
        raise NotImplementedError

    def _secrets(self) -> tuple[str, ...]:
        """What must not show in an error."""
        raise NotImplementedError

    def target(self, model: str) -> Target:
        raise NotImplementedError

    @cached_property
    def _client(self) -> OpenAI:
        return self._made(self._make_client)

    @cached_property
    def _async_client(self) -> AsyncOpenAI:
        return self._made(self._make_async_client)

    def _made(self, make: Callable[[], ClientT]) -> ClientT:
        from openai import OpenAIError

        try:
            return make()
        except OpenAIError as exc:
            raise ConfigError(f"The {self.provider} profile cannot be used: {exc}") from exc

    def _client_options(self) -> dict[str, Any]:
        """Options that every SDK client takes."""
        options: dict[str, Any] = {"max_retries": self._settings.max_retries}
        if self._settings.timeout is not None:
            options["timeout"] = self._settings.timeout
        if self._http_client is not None:
            options["http_client"] = self._http_client
        return options

    def _wire_params(self, request: Request) -> dict[str, Any]:
        """The keyword arguments of the SDK's `create`, made without touching the caller's."""
        params: dict[str, Any] = {**request.params, "stream": True}
        params["model"] = self.target(request.model).deployment or request.model
        # A response always reports its usage, and has no such option.
        if self._settings.include_usage != "never" and request.api == "chat":
            asked: dict[str, Any] = request.params.get("stream_options") or {}
            params["stream_options"] = {**asked, "include_usage": True}
        return params

    def open(self, request: Request) -> SdkByteStream:
        """Send the request; see `usagestream.adapter.Adapter.open`."""
        manager = _asking(self._client, request)(**self._wire_params(request))
        try:
            body = SdkByteStream(manager)
        except Exception as exc:  # noqa: BLE001 - sorted out, and raised again, by _refused
            self._refused(exc)
        body.head = replace(body.head, api=request.api)
        return body

    async def aopen(self, request: Request) -> SdkAsyncByteStream:
        """`open` for async code."""
        manager = _asking(self._async_client, request)(**self._wire_params(request))
        try:
            body = SdkAsyncByteStream(manager, await manager.__aenter__())
        except Exception as exc:  # noqa: BLE001 - sorted out, and raised again, by _refused
            self._refused(exc)
        body.head = replace(body.head, api=request.api)
        return body

    def _refused(self, exc: Exception) -> NoReturn:
        error = translate(exc, self.provider, self._secrets())
        if error is exc:
            raise exc
        raise error from exc

    def decoder(self, head: Head) -> Decoder:
        """Decode the wire that the request was made in."""
        kind = ResponsesDecoder if head.api == "responses" else ChatDecoder
        return kind(head, max_event_bytes=self._settings.max_event_bytes)

    def close(self) -> None:
        """Close the SDK's connections; those of a caller's own HTTP client stay open."""
        if "_client" in self.__dict__ and self._http_client is None:
            self._client.close()

    async def aclose(self) -> None:
        """`close` for async code."""
        if "_async_client" in self.__dict__ and self._http_client is None:
            await self._async_client.close()


def _asking(client: Any, request: Request) -> Callable[..., Any]:
    """The SDK's method that asks this, and leaves the body to us."""
    resource = client.responses if request.api == "responses" else client.chat.completions
    ask: Callable[..., Any] = resource.with_streaming_response.create
    return ask
