"""The objects of a tracked client's streams: the SDK's, made the short way where there is one.

The SDK's stream asks its client to make each object. A tracked client answers for itself.
"""

from __future__ import annotations

import inspect
import logging
import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any

from ..sdk.objects import make_chat_chunk, make_response_event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..sdk.objects import Make

__all__ = ["is_the_sdks", "is_unwrapped", "make_objects", "make_objects_of"]

_PROCESS = "_process_response_data"
_ASKED = ("self", "data", "cast_to", "response")

logger = logging.getLogger("usagestream")


def is_the_sdks(client: object, name: str) -> bool:
    """Whether a method is the SDK's own, put in its place by no subclass and on no instance."""
    method = getattr(type(client), name, None)
    return name not in vars(client) and getattr(method, "__module__", "") == "openai._base_client"


def is_unwrapped(function: Any) -> bool:
    """Whether a function is the SDK's, with no other around it."""
    while type(function) is FunctionType:
        if not function.__globals__["__name__"].startswith("openai."):
            return False
        function = getattr(function, "__wrapped__", None)
    return function is None


def make_objects(client: Any) -> None:
    """Let this client make the objects of its streams itself, unless something else makes them."""
    process = _process_of(client)
    if process is not None:
        setattr(client, _PROCESS, process)


def make_objects_of(stream: Any) -> None:
    """The same of one stream that nobody has read; the client that opened it stays as it is.

    Nothing is done to what is no stream of the SDK's, nor where its client makes them already.
    """
    sdk = sys.modules.get("openai")  # which is loaded, where a stream of its is
    if sdk is None or type(stream) not in (sdk.Stream, sdk.AsyncStream):
        return
    client = stream._client  # noqa: SLF001 - what the stream asks
    process = _process_of(client)
    if process is not None:
        stream._client = _Making(client, process)  # noqa: SLF001 - what the stream asks


class _Making:
    """Stands for the client of one stream, and makes the objects of that stream."""

    def __init__(self, client: Any, process: Callable[..., Any]) -> None:
        self._of = client
        self._process_response_data = process

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of, name)


def _process_of(client: Any) -> Callable[..., Any] | None:
    """What makes the objects of a client's streams; `None` where that is left to the SDK."""
    ways = _ways()
    own: type[Any] = client.__class__
    if (
        not ways
        or not is_the_sdks(client, _PROCESS)
        or tuple(inspect.signature(getattr(own, _PROCESS)).parameters) != _ASKED
    ):
        logger.debug("The objects of this %s are made as the SDK does", own.__name__)
        return None
    plain = getattr(client, _PROCESS)

    def process(*, data: Any, cast_to: Any, response: Any) -> Any:
        way = ways.get(id(cast_to))
        if way is not None and not client._strict_response_validation:  # noqa: SLF001
            try:
                return way(data)
            except Exception:  # noqa: BLE001, S110 - whatever it is, the SDK is asked
                pass
        return plain(data=data, cast_to=cast_to, response=response)

    return process


def _ways() -> Mapping[int, Make]:
    """By identity: to hash a union of the SDK's takes longer than to make an event."""
    from openai.types.chat import ChatCompletionChunk
    from openai.types.responses import ResponseStreamEvent

    makers = {
        id(ChatCompletionChunk): make_chat_chunk(),
        id(ResponseStreamEvent): make_response_event(),
    }
    return {type_: make for type_, make in makers.items() if make is not None}
