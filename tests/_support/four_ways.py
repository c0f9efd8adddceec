"""One body, read in each of the four ways there are: two clients, and two that are tracked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import openai

from usagestream import AsyncClient, Client, OpenAIProfile, UsageRecord, track

from .sdk_http import client_of, streamed

KEY: Final = "sk-of-four-ways"
URL: Final = "http://four.test/v1"
ASK: Final[Mapping[str, Mapping[str, Any]]] = {
    "chat": {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]},
    "responses": {"model": "gpt-4o", "input": "Hi"},
}


class Words:
    """A counter of words."""

    def count(self, text: str, model: str) -> int | None:
        """As a tokenizer would."""
        return len(text.split())


def event(frame: Mapping[str, Any]) -> bytes:
    """One event of the Responses API, as both services write it."""
    return f"event: {frame['type']}\ndata: {json.dumps(frame)}\n\n".encode()


class Way:
    """One of the four. `read` gives the record, and keeps what was raised."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.raised: Exception | None = None
        self._asynchronous = name in ("AsyncClient", "track, async")
        self._tracked = name.startswith("track")

    def __repr__(self) -> str:
        return self.name

    def read(
        self,
        api: str,
        reads: Sequence[bytes],
        *,
        most: int | None = None,
        **reply: Any,
    ) -> UsageRecord:
        """Read a body of these reads to its end, or leave it after so many chunks."""
        return self.ask(
            api,
            lambda _: streamed(reads, asynchronous=self._asynchronous, **reply),
            most=most,
        )

    def ask(
        self, api: str, reply: Callable[[Any], Any], *, most: int | None = None, **more: Any
    ) -> UsageRecord:
        """Ask what answers so, and give the record."""
        http_client = client_of(reply, asynchronous=self._asynchronous)
        return self.over(api, URL, most=most, http_client=http_client, **more)

    def over(
        self,
        api: str,
        url: str,
        *,
        most: int | None = None,
        http_client: Any = None,
        **more: Any,
    ) -> UsageRecord:
        """Ask who is at this address, and give the record."""
        records: list[UsageRecord] = []
        sink = records.append
        asked = {**ASK[api], **more}
        if self._tracked:
            kind: Any = openai.AsyncOpenAI if self._asynchronous else openai.OpenAI
            bare = kind(api_key=KEY, base_url=url, http_client=http_client, max_retries=0)
            client: Any = track(bare, on_record=sink, token_counter=Words())
            resource = client.responses if api == "responses" else client.chat.completions
            self._run(lambda: resource.create(**asked, stream=True), client, most)
        else:
            profile = OpenAIProfile(api_key=KEY, base_url=url, max_retries=0)
            ours: Any = AsyncClient if self._asynchronous else Client
            client = ours(profile, on_record=sink, token_counter=Words(), http_client=http_client)
            stream = client.responses.stream if api == "responses" else client.stream
            self._run(lambda: stream(**asked), client, most)
        (found,) = records
        assert UsageRecord.model_validate_json(found.model_dump_json()) == found
        return found

    def _run(self, make: Callable[[], Any], client: Any, most: int | None) -> None:
        try:
            if self._asynchronous:
                asyncio.run(self._aread(make, client, most))
            else:
                with client, make() as stream:
                    for seen, _ in enumerate(stream, 1):
                        if seen == most:
                            break
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is looked at
            self.raised = exc

    async def _aread(self, make: Callable[[], Any], client: Any, most: int | None) -> None:
        try:
            made = make()
            async with await made if self._tracked else made as stream:
                seen = 0
                async for _ in stream:
                    seen += 1
                    if seen == most:
                        break
        finally:
            with suppress(RuntimeError):
                await client.close()


WAYS: Final = ("Client", "AsyncClient", "track, sync", "track, async")
