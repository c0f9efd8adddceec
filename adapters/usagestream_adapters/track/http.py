"""An HTTP client that sends through the caller's, and shows each response to the call it is for."""

# The HTTP library is httpx2 or httpx, whichever the caller's client comes from.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from __future__ import annotations

import functools
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from ..sdk.http_library import library_type
from ..sdk.redirects import asend, send

if TYPE_CHECKING:
    from .call import TrackedCall

__all__ = ["current_call", "is_metered", "metered"]

current_call: Final[ContextVar[TrackedCall | None]] = ContextVar("usagestream_call", default=None)
"""The call that is being made by this thread or task."""


def metered(inner: Any) -> Any:
    """Make an HTTP client of the same library that uses all of `inner`, and owns nothing."""
    if is_metered(inner):
        return inner
    return _kind(library_type(type(inner)))(inner)


def is_metered(http_client: object) -> bool:
    """Whether `metered` made this."""
    return isinstance(http_client, _Borrowed)


@functools.cache
def _kind(base: type) -> type:
    if base.__name__ == "AsyncClient":
        return type("MeteredAsyncClient", (_AsyncSending, base), {})
    return type("MeteredClient", (_Sending, base), {})


class _Borrowed:
    """State is read from the borrowed client, by name, so that there is one of each thing."""

    def __init__(self, inner: Any) -> None:
        self._borrowed = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._borrowed, name)

    def build_request(self, *args: Any, **kwargs: Any) -> Any:
        return self._borrowed.build_request(*args, **kwargs)


class _Sending(_Borrowed):
    def send(self, request: Any, **how: Any) -> Any:
        call = current_call.get()
        if call is None:
            return self._borrowed.send(request, **how)
        response = send(self._borrowed, request, **how)
        if response.is_success:
            call.answered(response)
        return response

    def close(self) -> None:
        self._borrowed.close()


class _AsyncSending(_Borrowed):
    async def send(self, request: Any, **how: Any) -> Any:
        call = current_call.get()
        if call is None:
            return await self._borrowed.send(request, **how)
        response = await asend(self._borrowed, request, **how)
        if response.is_success:
            call.aanswered(response)
        return response

    async def aclose(self) -> None:
        await self._borrowed.aclose()
