"""The HTTP library under the installed openai SDK: httpx2 from its version 3, httpx before."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Final

import openai

OPENAI_3: Final = int(openai.__version__.partition(".")[0]) >= 3
http: Final[Any] = importlib.import_module("httpx2" if OPENAI_3 else "httpx")

Reply = Callable[[Any], Any]


def client_of(reply: Reply, *, asynchronous: bool = False) -> Any:
    """An HTTP client that asks a function instead of the network."""
    kind = http.AsyncClient if asynchronous else http.Client
    return kind(transport=http.MockTransport(reply))


def streamed(
    reads: Sequence[bytes],
    *,
    asynchronous: bool = False,
    breaks: Exception | None = None,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Any:
    """A response whose body comes in these reads, and then breaks if told to."""

    def body() -> Iterator[bytes]:
        yield from reads
        if breaks is not None:
            raise breaks

    async def abody() -> AsyncIterator[bytes]:
        for data in body():
            yield data

    sent = {"content-type": "text/event-stream; charset=utf-8"} if headers is None else headers
    content = abody() if asynchronous else body()
    return http.Response(status, headers=sent, content=content)
