"""Recording while it streams: each read with its time, and the end as it was."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Final, Self

from usagestream_core.errors import ConfigError, UsageStreamError

from ..cassettes.addresses import describe_origin, is_token_request
from ..cassettes.file import is_emulator, shown_path, stamp, write
from ..cassettes.leaks import leaks
from ..cassettes.scrub import (
    clean_request,
    clean_response,
    decompressed,
    note_request,
    note_response,
    scrub_body,
)
from ..cassettes.secrets import Secrets
from ..sdk.http_library import http_library

__all__ = ["Recorder", "RecordingRefusedError"]

_STARTED: Final = "usagestream_started"


class RecordingRefusedError(UsageStreamError):
    """What was recorded holds a secret that cannot be scrubbed. Nothing was written."""


class Recorder:
    """Records what goes through its HTTP clients into one cassette, written when it is left.

    Give `http_client()` to a `Client`, or `async_http_client()` to an `AsyncClient`; the clients of
    the openai SDK take them as well. Bodies reach their reader as they come. Kept beside each are
    the times and the sizes of the reads, and how it ended: complete, left by whoever read it, or by
    an error of the connection.

    What is written is scrubbed as the pytest plugin's cassettes are, requests for access tokens are
    left out, and plain vcrpy can read it. A cassette that is there already is replaced, unless
    nothing was recorded. Compression is not asked for, so that the reads are those of the text.

    Raises `RecordingRefusedError` on leaving, for what would leak.
    """

    def __init__(self, cassette: str | os.PathLike[str]) -> None:
        try:
            from ..cassettes import yaml as _yaml
        except ImportError as exc:
            raise ConfigError(
                'Cassettes are written by PyYAML, which is not here: pip install "usagestream'
                '[replay]"'
            ) from exc
        self._serializer = _yaml
        self._path = Path(cassette)
        self._lock = threading.Lock()
        self._takes: list[_Take] = []

    def __repr__(self) -> str:
        return f"<Recorder {self._path}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.save()

    def http_client(self, **options: Any) -> Any:
        """Make an HTTP client of the openai SDK's kind, with its options, that is recorded.

        It is yours to close.
        """
        from openai import DefaultHttpxClient

        def asking(request: Any) -> None:
            _ask_plainly(request)
            request.read()  # A form with files is sent in pieces, and kept nowhere else.

        hooks: dict[str, list[Any]] = {"request": [asking], "response": [self._answered]}
        return DefaultHttpxClient(event_hooks=hooks, **options)

    def async_http_client(self, **options: Any) -> Any:
        """`http_client` for async code."""
        from openai import DefaultAsyncHttpxClient

        async def asking(request: Any) -> None:
            _ask_plainly(request)
            await request.aread()

        async def answered(response: Any) -> None:
            self._answered(response)

        hooks: dict[str, list[Any]] = {"request": [asking], "response": [answered]}
        return DefaultAsyncHttpxClient(event_hooks=hooks, **options)

    def _answered(self, response: Any) -> None:
        take = _Take(response, response.request.extensions[_STARTED])
        with self._lock:
            self._takes.append(take)
        if response.is_closed:  # It was whole from the start, as a mock transport's is.
            take.read(response.content)
            take.finish("complete")
            return
        kinds = _tees()
        tee = kinds[1] if isinstance(response.stream, http_library().AsyncByteStream) else kinds[0]
        response.stream = tee(response.stream, take)

    def save(self) -> None:
        """Write what was recorded so far; `with` does it at the end. Raises as the class says."""
        with self._lock:
            takes = [each for each in self._takes if not is_token_request(each.uri)]
        if not takes:
            return
        secrets = Secrets(os.environ)
        for take in takes:
            note_request(take.request(), secrets)
            note_response(take.response(), secrets)
        cleaned = [_Cleaned(take, secrets) for take in takes]
        requests, responses = (
            [each.request for each in cleaned],
            [each.response for each in cleaned],
        )
        leak = next(leaks(requests, responses, secrets), None)
        if leak is not None:
            raise RecordingRefusedError(
                f"Nothing was written to {shown_path(self._path)}: {leak}, which cannot be "
                "scrubbed."
            )
        from ..cassettes.vcr import serialize

        text = serialize(
            {"requests": requests, "responses": responses}, _Beside(self._serializer, cleaned)
        )
        write(self._path, text)


def _ask_plainly(request: Any) -> None:
    request.headers["accept-encoding"] = "identity"
    request.extensions = {**request.extensions, _STARTED: time.monotonic()}


@dataclass(slots=True)
class _Take:
    """One response while it is read."""

    answered: Any
    started: float
    head: float = field(init=False)
    reads: list[tuple[float, bytes]] = field(default_factory=list[tuple[float, bytes]])
    end: float | None = None
    ended: str = "left"

    def __post_init__(self) -> None:
        self.head = self._now()

    def _now(self) -> float:
        return round(time.monotonic() - self.started, 6)

    def read(self, data: bytes) -> None:
        self.reads.append((self._now(), data))

    def finish(self, ended: str) -> None:
        """Note how it ended; only the first end counts."""
        if self.end is None:
            self.end, self.ended = self._now(), ended

    @property
    def is_unread_refusal(self) -> bool:
        """Whether nobody read what was refused, as the SDK does not before it tries again."""
        return self.answered.status_code >= 400 and not self.reads and self.end is None

    @property
    def uri(self) -> str:
        return str(self.answered.request.url)

    def request(self) -> Any:
        """The request, as vcrpy has it."""
        from ..cassettes.vcr import Request

        asked = self.answered.request
        return Request(asked.method, self.uri, asked.content, dict(asked.headers))

    def response(self) -> dict[str, Any]:
        """The response, as vcrpy has it."""
        headers: dict[str, list[str]] = {}
        for name, value in self.answered.headers.multi_items():
            headers.setdefault(name, []).append(value)
        return {
            "status": {"code": self.answered.status_code, "message": self.answered.reason_phrase},
            "headers": headers,
            "body": {"string": b"".join(data for _, data in self.reads)},
        }


class _Cleaned:
    """A take as it may be kept."""

    def __init__(self, take: _Take, secrets: Secrets) -> None:
        response = take.response()
        self.origin = describe_origin(take.uri)
        self.emulated = is_emulator(response)
        self.request = clean_request(take.request(), secrets)
        self.response = clean_response(decompressed(response), secrets)
        self.timing: dict[str, Any] = {
            "head": take.head,
            "reads": list(self._reads(take, response["body"]["string"], secrets)),
            "end": take.head if take.end is None else take.end,
            "ended": take.ended,
        }

    def _reads(self, take: _Take, body: bytes, secrets: Secrets) -> Iterator[tuple[float, int]]:
        """The reads as (seconds, bytes), of a body whose length scrubbing may have changed.

        Where a placeholder is astride two reads, it belongs to the first.
        """
        kept: bytes = self.response["body"]["string"]
        ends = list(accumulate(len(data) for _, data in take.reads))
        if kept != body:
            _, ends = scrub_body(body, secrets, ends)
        # One that came compressed has another length again: all of it is the last read's.
        ends = [*(min(end, len(kept)) for end in ends[:-1]), len(kept)]
        for (when, _), (start, end) in zip(take.reads, pairwise([0, *ends]), strict=False):
            yield when, end - start


class _Beside:
    """A serializer that adds what is kept beside the bodies."""

    def __init__(self, inner: Any, cleaned: list[_Cleaned]) -> None:
        self._inner = inner
        self._cleaned = cleaned

    def serialize(self, document: dict[str, Any]) -> str:
        for interaction, each in zip(document["interactions"], self._cleaned, strict=True):
            interaction["timing"] = each.timing
        said = stamp(
            {each.origin for each in self._cleaned},
            emulated=any(each.emulated for each in self._cleaned),
        )
        return str(self._inner.serialize({**said, **document}))


class _Tee:
    def __init__(self, inner: Any, take: _Take) -> None:
        self._inner = inner
        self._take = take

    def __iter__(self) -> Iterator[bytes]:
        try:
            for data in self._inner:
                self._take.read(data)
                yield data
        except http_library().TransportError as exc:
            self._take.finish(type(exc).__name__)
            raise
        self._take.finish("complete")

    def close(self) -> None:
        with suppress(http_library().TransportError):
            if self._take.is_unread_refusal:
                for _ in self:
                    pass
        self._take.finish("left")
        self._inner.close()


class _AsyncTee:
    def __init__(self, inner: Any, take: _Take) -> None:
        self._inner = inner
        self._take = take

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for data in self._inner:
                self._take.read(data)
                yield data
        except http_library().TransportError as exc:
            self._take.finish(type(exc).__name__)
            raise
        self._take.finish("complete")

    async def aclose(self) -> None:
        with suppress(http_library().TransportError):
            if self._take.is_unread_refusal:
                async for _ in self:
                    pass
        self._take.finish("left")
        await self._inner.aclose()


@cache
def _tees() -> tuple[Any, Any]:
    """The same classes, as the library's own: it asks what a body is an instance of."""
    library = http_library()
    return (
        type("RecordedBody", (_Tee, library.SyncByteStream), {}),
        type("RecordedAsyncBody", (_AsyncTee, library.AsyncByteStream), {}),
    )
