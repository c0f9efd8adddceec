"""What an open stream holds: bytes that Python allocated for it, after one chunk and after 1,000.

Run as `python held.py NAME BASE_URL`; prints JSON. The streams are read as slowly as they come, so
that no bytes wait in a buffer. `response_sync` is the SDK's open response, its bytes untouched.
"""

from __future__ import annotations

import gc
import json
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

from worker import ASK, MESSAGES, MODEL

STREAMS = 5
Opened = tuple[Iterator[Any], Callable[[], object]]
"""A stream to read, and how to close it."""


def response_sync(base_url: str) -> Callable[[], Opened]:
    """The SDK's response."""
    import openai

    client = openai.OpenAI(api_key="k", base_url=base_url)

    def opened() -> Opened:
        manager = client.chat.completions.with_streaming_response.create(**ASK)
        response = manager.__enter__()
        return response.http_response.iter_raw(), response.close

    return opened


def sdk_sync(base_url: str) -> Callable[[], Opened]:
    """The SDK's `create(stream=True)`."""
    import openai

    client = openai.OpenAI(api_key="k", base_url=base_url)

    def opened() -> Opened:
        stream = client.chat.completions.create(**ASK)
        return iter(stream), stream.close

    return opened


def ours_sync(base_url: str) -> Callable[[], Opened]:
    """`usagestream.Client`; without a tokenizer, for which the text would be kept."""
    from usagestream import Client
    from usagestream_adapters.openai import OpenAIProfile

    profile = OpenAIProfile.model_validate({"api_key": "k", "base_url": base_url})
    client = Client(profile, token_counter=None)

    def opened() -> Opened:
        stream = client.stream(model=MODEL, messages=MESSAGES)
        return iter(stream), stream.close

    return opened


def tracked_sync(base_url: str) -> Callable[[], Opened]:
    """`track(OpenAI())`; without a tokenizer, as above."""
    import openai

    from usagestream import track

    client = track(openai.OpenAI(api_key="k", base_url=base_url), token_counter=None)

    def opened() -> Opened:
        stream: Any = client.chat.completions.create(**ASK)
        return iter(stream), stream.close

    return opened


def held(opened: Callable[[], Opened], chunks: int) -> float:
    """Open some, read so many chunks of each, and say what one of them holds."""
    gc.collect()
    tracemalloc.start()
    made: list[Opened] = []
    for _ in range(STREAMS):
        made.append(opened())
        for _ in range(chunks):
            next(made[-1][0])
    gc.collect()
    total = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    for _, close in made:
        close()
    return total / STREAMS


if __name__ == "__main__":
    opened = globals()[sys.argv[1]](sys.argv[2])
    held(opened, 1)  # what is made once is made
    print(json.dumps({str(chunks): held(opened, chunks) for chunks in (1, 1000)}))
