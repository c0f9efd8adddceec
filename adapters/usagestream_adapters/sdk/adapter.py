"""What both adapters share of the openai SDK: opening the raw stream.

The SDK keeps retries before the first byte, time-outs, proxies, credentials and addresses. The
body is read here, since the SDK's own iteration drops usage and costs most of the CPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from usagestream_core.adapter import Decoder, Head, Request, Retrieved, RetrieveRequest, Target
from usagestream_core.errors import ClientClosedError, ConfigError
from usagestream_core.masking import Mask
from usagestream_core.profile import Profile, check_all, revealed

from ..wire.chat import ChatDecoder
from ..wire.responses import ResponsesDecoder
from ..wire.stored import read_stored
from .addresses import secrets_in_address
from .attempts import RefusalMemory, RequestAttempts, TokenRetry
from .bodies import SdkAsyncByteStream, SdkByteStream
from .credentials import sendable
from .errors import translate
from .guard import guarded
from .http_library import explained, proxy_secrets
from .service import Service

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

__all__ = ["SdkAdapter", "sendable_headers"]

ClientT = TypeVar("ClientT", bound="OpenAI | AsyncOpenAI")


class SdkAdapter:
    """An adapter over an SDK client. The service says which client, and where requests go."""

    provider: ClassVar[str]
    profile_type: ClassVar[type[Profile]]

    def __init__(self, profile: Profile, service: Service, *, http_client: Any = None) -> None:
        self._settings = profile
        self._service = service
        self._headers = sendable_headers(profile)
        addresses = (getattr(profile, "base_url", None), getattr(profile, "endpoint", None))
        self._in_address = (
            tuple(secret for url in addresses if url for secret in secrets_in_address(url))
            + proxy_secrets()
        )
        self._http_client = http_client
        self._closed = False
        self._loop: Any = None
        """The event loop that the connections of `_async_client` belong to."""
        self._elsewhere: dict[Any, AsyncOpenAI] = {}
        """The async clients of other event loops."""
        self._memory = RefusalMemory()

    def secrets(self) -> tuple[str, ...]:
        """What must not show in an error or a record: now, since tokens are fetched anew."""
        service = self._service
        tokens = () if service.tokens is None else service.tokens.secrets
        return (*service.secrets, *tokens, *self._headers.values(), *self._in_address)

    def target(self, model: str) -> Target:
        """Say where a request for this model goes, or raise `ConfigError`. Sends nothing."""
        return self._service.target(model)

    @cached_property
    def _client(self) -> OpenAI:
        return self._made(lambda: self._service.client(self._client_options()))

    @cached_property
    def _async_client(self) -> AsyncOpenAI:
        return self._made(self._new_async_client)

    def _new_async_client(self) -> AsyncOpenAI:
        return self._service.async_client({**self._client_options(), **self._async_http()})

    def _async_http(self) -> dict[str, Any]:
        """The option that makes an async client of the SDK's use another transport."""
        if self._settings.async_http == "default" or self._http_client is not None:
            return {}
        sdk: Any = import_module("openai")
        names = ("DefaultAioHttpClient", "DefaultAioHttpxClient")  # the second before version 3
        kind = next(getattr(sdk, name) for name in names if hasattr(sdk, name))
        try:
            return {"http_client": kind()}
        except RuntimeError as exc:
            raise ConfigError(
                'async_http = "aiohttp" needs aiohttp: pip install "usagestream[aiohttp]"'
            ) from exc

    def _made(self, make: Callable[[], ClientT]) -> ClientT:
        from openai import OpenAIError

        try:
            client = make()
        except OpenAIError as exc:
            raise ConfigError(f"The {self.provider} profile cannot be used: {exc}") from exc
        except (ImportError, OSError, ValueError) as exc:
            error = explained(exc)
            if error is None:
                raise
            raise error from exc
        # The one private name: the SDK has no other place for an HTTP client that it made itself,
        # and keeps the option to follow redirects to itself.
        inner: Any = client._client  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        vars(client)["_client"] = guarded(inner, self._service.query)
        return client

    def _client_options(self) -> dict[str, Any]:
        """Options that every SDK client takes."""
        options: dict[str, Any] = {"max_retries": self._settings.max_retries}
        if self._settings.timeout is not None:
            options["timeout"] = self._settings.timeout
        if self._headers:
            options["default_headers"] = self._headers
        if self._http_client is not None:
            options["http_client"] = self._http_client
        return options

    def _opening(self, request: Request) -> RequestAttempts:
        return RequestAttempts(
            request,
            self.target(request.model),
            self._settings.include_usage,
            known_refusal=self._service.known_refusal(request),
            memory=self._memory,
            tokens=self._service.tokens,
        )

    def _check_open(self) -> None:
        """Raise `ClientClosedError` or `ConfigError` where nothing can be sent any more."""
        if self._closed:
            raise ClientClosedError
        if getattr(self._http_client, "is_closed", False):
            raise ConfigError(
                "The http_client of this client has been closed: give another one, or close it "
                "when all is done."
            )

    async def _enter_loop(self) -> None:
        """Use the connections of this event loop, and let those of loops that have ended go."""
        from anyio.lowlevel import current_token

        self._check_open()
        token: Any = current_token()
        loop = getattr(token, "native_token", token)  # the loop itself, before anyio 4.11
        if loop is self._loop or self._http_client is not None:
            return
        made = self.__dict__.pop("_async_client", None)
        if made is not None and self._loop is None:
            self._async_client = made  # made beforehand, without a connection
        elif made is not None:
            self._elsewhere[self._loop] = made
        self._loop = loop
        if loop in self._elsewhere:
            self._async_client = self._elsewhere.pop(loop)
        for ended in [each for each in self._elsewhere if _has_ended(each)]:
            with suppress(Exception):  # its connections cannot be closed, only be left
                await self._elsewhere.pop(ended).close()

    def warm(self, request: Request, *, asynchronous: bool) -> None:
        """Import the SDK, make its client, and load the part of it that asks this."""
        _asking(self._async_client if asynchronous else self._client, request)

    def open(self, request: Request) -> SdkByteStream:
        """Send the request; see `usagestream.adapter.Adapter.open`."""
        self._check_open()
        opening, keys = self._opening(request), self._service.keys
        create = _asking(self._client, request)
        while True:
            try:
                key = None if keys is None else keys.get()
                params = opening.params(self._service.headers(key))
                body = SdkByteStream(create(**params))
            except Exception as exc:  # noqa: BLE001 - sorted out, and raised again, by _refused
                self._refused(exc, opening)
            else:
                body.head = opening.noted(body.head)
                return body

    async def aopen(self, request: Request) -> SdkAsyncByteStream:
        """`open` for async code."""
        await self._enter_loop()
        opening, keys = self._opening(request), self._service.keys
        create = _asking(self._async_client, request)
        while True:
            try:
                key = None if keys is None else await keys.aget()
                params = opening.params(self._service.headers(key))
                manager = create(**params)
                body = SdkAsyncByteStream(manager, await manager.__aenter__())
            except Exception as exc:  # noqa: BLE001 - sorted out, and raised again, by _refused
                self._refused(exc, opening)
            else:
                body.head = opening.noted(body.head)
                return body

    def retrieve(self, stored: RetrieveRequest) -> Retrieved:
        """Ask for an answer that was kept; see `usagestream.adapter.Retriever`."""
        self._check_open()
        time.sleep(stored.after)
        renewal, keys = TokenRetry(self._service.tokens), self._service.keys
        ask = _retrieving(self._client, stored)
        while True:
            try:
                key = None if keys is None else keys.get()
                response = ask(stored.response_id, extra_headers=self._service.headers(key))
                return read_stored(stored, response.http_response.content)
            except Exception as exc:  # noqa: BLE001 - sorted out, and raised again, by _refused
                self._refused(exc, renewal)

    async def aretrieve(self, stored: RetrieveRequest) -> Retrieved:
        """`retrieve` for async code."""
        import anyio

        await self._enter_loop()
        await anyio.sleep(stored.after)
        renewal, keys = TokenRetry(self._service.tokens), self._service.keys
        ask = _retrieving(self._async_client, stored)
        while True:
            try:
                key = None if keys is None else await keys.aget()
                response = await ask(stored.response_id, extra_headers=self._service.headers(key))
                return read_stored(stored, response.http_response.content)
            except Exception as exc:  # noqa: BLE001 - sorted out, and raised again, by _refused
                self._refused(exc, renewal)

    def _refused(self, exc: Exception, opening: RequestAttempts | TokenRetry) -> None:
        """Raise what `exc` means, unless the request is to be sent again."""
        secrets = self.secrets()
        Mask.of(secrets).error(exc)
        error = translate(exc, self._service.name, secrets)
        broke = exc.__cause__ if type(exc).__name__ == "APIConnectionError" else exc  # before 3
        if isinstance(broke, RuntimeError) and "loop" in str(broke):
            error = ConfigError(
                f"The http_client cannot be used in this event loop ({broke}): it has connections "
                "of another one. Make a client for each loop, or leave the http_client out."
            )
        if opening.again(exc, error):
            return
        if error is exc:
            raise exc
        raise error from exc

    def decoder(self, head: Head) -> Decoder:
        """Decode the wire that the request was made in."""
        kind = ResponsesDecoder if head.api == "responses" else ChatDecoder
        return kind(head, max_event_bytes=self._settings.max_event_bytes)

    def close(self) -> None:
        """Close the SDK's connections; those of a caller's own HTTP client stay open."""
        if self._service.tokens is not None:
            self._service.tokens.close()
        self._closed = self._http_client is None
        if "_client" in self.__dict__ and self._closed:
            self._client.close()

    async def aclose(self) -> None:
        """`close` for async code."""
        if self._service.tokens is not None:
            self._service.tokens.close()
        self._closed = self._http_client is None
        if "_async_client" in self.__dict__ and self._closed:
            await self._async_client.close()


def _has_ended(loop: Any) -> bool:
    """Whether an event loop is over. Trio does not say: one that is not running here is so."""
    return loop.is_closed() if hasattr(loop, "is_closed") else True


def sendable_headers(profile: Profile) -> dict[str, str]:
    """The headers of a profile. Raises `ConfigError` for those that cannot be sent."""
    headers = {name: revealed(value) for name, value in profile.headers.items()}
    settings = {name: f"headers[{name!r}]" for name in headers}
    check_all(
        *(partial(sendable, name, f"the name of {settings[name]}") for name in headers),
        *(partial(sendable, value, settings[name]) for name, value in headers.items()),
    )
    return {name: sendable(value, settings[name]) for name, value in headers.items()}


def _retrieving(client: Any, stored: RetrieveRequest) -> Callable[..., Any]:
    """The SDK's method that asks for a stored answer, and leaves its body to us."""
    resource = client.responses if stored.api == "responses" else client.chat.completions
    raw = resource.with_raw_response
    ask: Callable[..., Any] = raw.cancel if stored.cancel else raw.retrieve
    return ask


def _asking(client: Any, request: Request) -> Callable[..., Any]:
    """The SDK's method that asks this, and leaves the body to us."""
    resource = client.responses if request.api == "responses" else client.chat.completions
    ask: Callable[..., Any] = resource.with_streaming_response.create
    return ask
