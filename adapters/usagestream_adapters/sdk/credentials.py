"""Keys and tokens that are fetched when needed: once for all who wait, and anew before they expire.

The credential libraries cache too, but not for callers that come at once: 20 threads with a cold
credential of azure-identity make 20 token requests.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import threading
import time
import unicodedata
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast

import anyio
import anyio.to_thread

from usagestream_core.errors import AuthenticationError, ConfigError
from usagestream_core.locks import ForkSafeLock

__all__ = ["CallableFetcher", "Fetcher", "Token", "TokenSource", "custom_headers", "sendable"]

logger = logging.getLogger("usagestream")

EARLY: Final = 300.0
"""Seconds before its end when a token is replaced; half of a shorter life."""
LAST_CALL: Final = 5.0
"""Seconds before its end when a token is not used any more."""
RETRY_EARLY: Final = 30.0
"""Seconds until the next attempt after replacing a token early has failed."""
RENEWAL_HOLDS: Final = 60.0
"""Seconds for which a token fetched because another was refused is not replaced for that again."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it was fetched. Times are seconds since the epoch."""

    value: str = field(repr=False)
    expires_at: float = 0.0
    """0 where that is not said: such a token serves only those who wait for it now."""
    refresh_at: float = 0.0
    """When to replace it."""

    @classmethod
    def made(cls, value: str, expires_at: float, refresh_on: float | None, now: float) -> Token:
        """A token that is replaced early: when its issuer says, and `EARLY` at the latest."""
        early = expires_at - min(EARLY, max(expires_at - now, 0.0) / 2)
        return cls(value, expires_at, early if refresh_on is None else min(refresh_on, early))


def custom_headers(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Say it where the SDK sends headers that it takes from the environment by itself."""
    name = "OPENAI_CUSTOM_HEADERS"
    return (f"headers (environment variable {name})",) if environ.get(name) else ()


class Fetcher(Protocol):
    """Where tokens come from."""

    is_async: bool
    """Whether a call gives an awaitable, and belongs on an event loop."""

    def __call__(self) -> Token | Awaitable[Token]: ...
    def forget(self) -> None:
        """A token was refused: drop what is cached, so that the next is a new one."""
        ...

    def explain(self, exc: Exception) -> str:
        """Say what failed and what to do, without secrets."""
        ...

    def close(self) -> None:
        """Let connections go that are not the caller's."""
        ...


def sendable(text: str, setting: str) -> str:
    """Give a key as it can stand in a header, without white space around it.

    Raises `ConfigError`, which names the setting and does not show the key, for one that cannot.
    """
    text = text.strip()
    for place, each in enumerate(text, start=1):
        if not " " <= each <= "~":
            name = unicodedata.name(each, f"the control character {ord(each):#04x}")
            raise ConfigError(
                f"{setting} cannot be sent: character {place} is {name}, and only ASCII can stand "
                "in a header. Copy it anew, without what an editor or a web page put in."
            )
    return text


class CallableFetcher:
    """A function of the caller's that gives a key or a token, and caches it if need be."""

    def __init__(self, function: Callable[[], Any], what: str) -> None:
        self._function = function
        self._what = what
        call = getattr(function, "__call__", None)  # noqa: B004 - an object may have an async one
        self.is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)

    def __call__(self) -> Token | Awaitable[Token]:
        given = self._function()
        return self._awaited(given) if inspect.isawaitable(given) else self._token(given)

    async def _awaited(self, given: Awaitable[Any]) -> Token:
        return self._token(await given)

    def _token(self, given: object) -> Token:
        if not isinstance(given, str) or not given:
            raise TypeError(f"it gave {type(given).__name__}, not a non-empty str")
        try:
            return Token(sendable(given, "What it gave"))
        except ConfigError as exc:
            raise TypeError(f"{exc} A non-empty str is needed") from None

    def forget(self) -> None:
        """The function is asked again anyway."""

    def close(self) -> None:
        """There is nothing of ours to close."""

    def explain(self, exc: Exception) -> str:
        # The text of a caller's own exception may hold anything: it stays in the cause.
        said = f": {exc}" if isinstance(exc, TypeError) and "non-empty str" in str(exc) else ""
        return f"{self._what} raised {type(exc).__name__}{said}."


class TokenSource:
    """Gives a valid token to any number of threads or tasks.

    One of them fetches while the others wait and share what it gets, its failure included. A token
    is replaced before it ends; should that fail, it is used for as long as it is valid.
    """

    def __init__(self, fetcher: Fetcher, provider: str) -> None:
        self._fetcher = fetcher
        self._provider = provider
        self._held: Token | None = None
        self._renewed_at = 0.0
        self._retry_at = 0.0
        self._fetches = 0
        self._failure: Exception | None = None
        self._latest = Token("")
        self._lock = ForkSafeLock()
        self._async_lock = anyio.Lock()
        self._loop = _PrivateLoop()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The token in use, which must not show in an error."""
        return (self._latest.value,) if self._latest.value else ()

    def get(self) -> str:
        """Give a token. Raises `AuthenticationError`, with the credential's error as its cause."""
        held = self._held
        now = time.time()
        if held is not None and now < max(held.refresh_at, self._retry_at):
            return held.value
        before = self._fetches
        if not self._lock.acquire(blocking=not _usable(held, now)):
            assert held is not None
            return held.value
        try:
            return self._shared(before) or self._settle(self._fetch())
        except Exception as exc:  # noqa: BLE001 - a credential may raise anything; see _failed
            return self._failed(exc)
        finally:
            self._lock.release()

    async def aget(self) -> str:
        """`get` for async code. What is not async runs in a worker thread."""
        held = self._held
        now = time.time()
        if held is not None and now < max(held.refresh_at, self._retry_at):
            return held.value
        before = self._fetches
        if _usable(held, now) and self._async_lock.locked():
            assert held is not None
            return held.value
        async with self._async_lock:
            try:
                return self._shared(before) or self._settle(await self._afetch())
            except Exception as exc:  # noqa: BLE001 - a credential may raise anything; see _failed
                return self._failed(exc)

    def renew(self, refused: str) -> bool:
        """The provider refused this token: forget it. False where a new one would not help."""
        held = self._held
        if held is not None and held.value == refused:
            if time.time() - self._renewed_at < RENEWAL_HOLDS:
                return False
            self._held = None
            self._renewed_at = time.time()
            self._fetcher.forget()
        return True

    def close(self) -> None:
        """Let connections go, and stop the private event loop if one was needed."""
        self._fetcher.close()
        self._loop.stop()

    def _fetch(self) -> Token:
        given = self._loop.run(self._fetcher) if self._fetcher.is_async else self._fetcher()
        if inspect.isawaitable(given):  # a function that is not async, and gives a coroutine
            return self._loop.run(lambda: given)
        return given

    async def _afetch(self) -> Token:
        if self._fetcher.is_async:
            given = self._fetcher()
        else:
            given = await anyio.to_thread.run_sync(self._fetcher, abandon_on_cancel=True)
        return await given if inspect.isawaitable(given) else given

    def _shared(self, before: int) -> str | None:
        """What another caller fetched while this one waited; `None` if nobody did."""
        if self._fetches == before:
            return None
        if self._failure is not None:
            raise self._failure
        return self._latest.value

    def _settle(self, token: Token) -> str:
        self._fetches += 1
        self._failure = None
        self._latest = token
        self._held = token if token.expires_at else None
        return token.value

    def _failed(self, exc: Exception) -> str:
        if exc is not self._failure:
            self._fetches += 1
            self._failure = exc
        held = self._held
        now = time.time()
        if _usable(held, now):
            assert held is not None
            self._retry_at = min(now + RETRY_EARLY, held.expires_at - LAST_CALL)
            logger.warning("%s The token that is held is used on.", self._fetcher.explain(exc))
            return held.value
        raise AuthenticationError(self._fetcher.explain(exc), provider=self._provider) from exc


def _usable(token: Token | None, now: float) -> bool:
    return token is not None and now < token.expires_at - LAST_CALL


class _PrivateLoop:
    """An event loop in a thread of its own, for async credentials in sync code.

    One loop for as long as it is needed, since such a credential keeps connections that are tied to
    it. The thread is a daemon: it never keeps the program from ending.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._process = 0
        self._parents: list[asyncio.AbstractEventLoop] = []

    def run(self, function: Callable[[], Any]) -> Token:
        """Call a function on the loop and wait for what it gives."""
        self._leave_parents()
        if self._loop is None:
            self._process = os.getpid()
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._loop.run_forever, name="usagestream-credential", daemon=True
            )
            self._thread.start()

        async def called() -> Token:
            return cast("Token", await function())

        coroutine: Coroutine[Any, Any, Token] = called()
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _leave_parents(self) -> None:
        """A forked child has no threads, and may not close what its parent's loop waits on."""
        if self._loop is not None and self._process != os.getpid():
            self._parents.append(self._loop)  # or it would be closed by the collector
            self._loop = self._thread = None

    def stop(self) -> None:
        self._leave_parents()
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
