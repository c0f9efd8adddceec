"""An HTTP client that sends through the caller's, and shows each response to the call it is for."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from ..sdk.borrowed import Borrowed, borrow
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
    return borrow(inner, _Sending, _AsyncSending)


def is_metered(http_client: object) -> bool:
    """Whether `metered` made this."""
    return isinstance(http_client, _Sending | _AsyncSending)


class _Sending(Borrowed):
    def send(self, request: Any, **how: Any) -> Any:
        call = current_call.get()
        if call is None:
            return self._borrowed.send(request, **how)
        response = send(self._borrowed, request, **how)
        if response.is_success:
            call.answered(response)
            call.written()
        return response

    def close(self) -> None:
        self._borrowed.close()


class _AsyncSending(Borrowed):
    async def send(self, request: Any, **how: Any) -> Any:
        call = current_call.get()
        if call is None:
            return await self._borrowed.send(request, **how)
        response = await asend(self._borrowed, request, **how)
        if response.is_success:
            call.aanswered(response)
            await call.awritten()
        return response

    async def aclose(self) -> None:
        await self._borrowed.aclose()
