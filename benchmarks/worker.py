"""Runs one contestant in a process of its own, one stream at each line on standard input.

Started as `python worker.py CONTESTANT`; needs nothing but that contestant installed. Each line is
JSON: `{"base_url": ..., "streams": ..., "messages": ...}`, how many at once in async code and how
many messages the conversation has; each answer is JSON: CPU and wall seconds, the seconds until the
first chunk, and how many chunks were seen.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

MODEL = "gpt-4o"
QUESTION = {"role": "user", "content": "Tell me about streams of tokens."}
MESSAGES: list[Any] = [QUESTION]
ASK: dict[str, Any] = {
    "model": MODEL,
    "messages": MESSAGES,
    "stream": True,
    "stream_options": {"include_usage": True},
}
PLAIN: dict[str, Any] = {key: value for key, value in ASK.items() if key != "stream_options"}
RESPOND: dict[str, Any] = {"model": MODEL, "input": QUESTION["content"], "stream": True}
Stream = Callable[[], "tuple[int, float | None, str]"]
AsyncStream = Callable[[], "Awaitable[tuple[int, float | None, str]]"]
"""Read one stream: chunks seen, the moment of the first, and the total tokens it reported."""


def raw_sync(base_url: str) -> Stream:
    """The HTTP client below the SDK, its bytes untouched."""
    import openai

    client = openai.OpenAI(api_key="k", base_url=base_url)._client

    def run() -> tuple[int, float | None, str]:
        count, first = 0, None
        with client.stream("POST", f"{base_url}/chat/completions", json=ASK) as response:
            for _ in response.iter_raw():
                first = first or time.perf_counter()
                count += 1
        return count, first, ""

    return run


def sdk_sync(base_url: str) -> Stream:
    """The SDK's `create(stream=True)`."""
    import openai

    client = openai.OpenAI(api_key="k", base_url=base_url)

    def run() -> tuple[int, float | None, str]:
        count, first, usage = 0, None, None
        for chunk in client.chat.completions.create(**ASK):
            first = first or time.perf_counter()
            count += 1
            usage = chunk.usage or usage
        return count, first, str(usage.total_tokens)

    return run


def helper_sync(base_url: str) -> Stream:
    """The SDK's `stream()` helper."""
    import openai

    client = openai.OpenAI(api_key="k", base_url=base_url)
    asked = {key: value for key, value in ASK.items() if key != "stream"}

    def run() -> tuple[int, float | None, str]:
        count, first = 0, None
        with client.chat.completions.stream(**asked) as stream:
            for event in stream:
                first = first or time.perf_counter()
                count += event.type == "chunk"
            usage = stream.get_final_completion().usage
        return count, first, str(usage.total_tokens)

    return run


def ours_sync(base_url: str) -> Stream:
    """`usagestream.Client`, with chunks, meter, times and record."""
    from usagestream import Client
    from usagestream_adapters.openai import OpenAIProfile

    records: list[Any] = []
    profile = OpenAIProfile.model_validate({"api_key": "k", "base_url": base_url})
    client = Client(profile, on_record=records.append)

    def run() -> tuple[int, float | None, str]:
        count, first = 0, None
        with client.stream(model=MODEL, messages=MESSAGES) as stream:
            for _ in stream:
                first = first or time.perf_counter()
                count += 1
        return count, first, str(records.pop().usage.total_tokens)

    return run


def tracked_sync(base_url: str) -> Stream:
    """`track(OpenAI())`, without asking for usage, as most calls are made."""
    return _tracked(base_url, lambda client: client.chat.completions.create(**PLAIN))


def trackedhelper_sync(base_url: str) -> Stream:
    """The SDK's `stream()` helper of a tracked client."""
    asked = {key: value for key, value in PLAIN.items() if key != "stream"}

    def open_one(client: Any) -> Any:
        with client.chat.completions.stream(**asked) as stream:
            yield from stream

    return _tracked(base_url, open_one)


def responses_sync(base_url: str) -> Stream:
    """The SDK's `responses.create(stream=True)`."""
    import openai

    client = openai.OpenAI(api_key="k", base_url=base_url)

    def run() -> tuple[int, float | None, str]:
        count, first = 0, None
        for _ in client.responses.create(**RESPOND):
            first = first or time.perf_counter()
            count += 1
        return count, first, ""

    return run


def trackedresponses_sync(base_url: str) -> Stream:
    """The same of a tracked client."""
    return _tracked(base_url, lambda client: client.responses.create(**RESPOND))


def _tracked(base_url: str, open_one: Callable[[Any], Any]) -> Stream:
    import openai

    from usagestream import track

    records: list[Any] = []
    client = track(openai.OpenAI(api_key="k", base_url=base_url), on_record=records.append)

    def run() -> tuple[int, float | None, str]:
        count, first = 0, None
        for _ in open_one(client):
            first = first or time.perf_counter()
            count += 1
        return count, first, str(records.pop().usage.total_tokens)

    return run


def litellm_sync(base_url: str) -> Stream:
    """`litellm.completion`."""
    import litellm

    def run() -> tuple[int, float | None, str]:
        count, first, usage = 0, None, None
        asked = {**ASK, "model": f"openai/{MODEL}"}
        for chunk in litellm.completion(**asked, api_key="k", api_base=base_url):
            first = first or time.perf_counter()
            count += 1
            usage = getattr(chunk, "usage", None) or usage
        return count, first, str(usage.total_tokens)

    return run


def langchain_sync(base_url: str) -> Stream:
    """`ChatOpenAI.stream` of langchain-openai."""
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model=MODEL, api_key="k", base_url=base_url, stream_usage=True)

    def run() -> tuple[int, float | None, str]:
        count, first, usage = 0, None, None
        for chunk in model.stream(MESSAGES):
            first = first or time.perf_counter()
            count += 1
            usage = chunk.usage_metadata or usage
        return count, first, str(usage["total_tokens"])

    return run


def any_llm_sync(base_url: str) -> Stream:
    """`any_llm.completion`."""
    import any_llm

    def run() -> tuple[int, float | None, str]:
        count, first, usage = 0, None, None
        asked = {**ASK, "model": f"openai:{MODEL}"}
        for chunk in any_llm.completion(**asked, api_key="k", api_base=base_url):
            first = first or time.perf_counter()
            count += 1
            usage = chunk.usage or usage
        return count, first, str(usage.total_tokens)

    return run


def raw_async(base_url: str) -> AsyncStream:
    """The async HTTP client below the SDK, its bytes untouched."""
    import openai

    client = openai.AsyncOpenAI(api_key="k", base_url=base_url)._client

    async def run() -> tuple[int, float | None, str]:
        count, first = 0, None
        async with client.stream("POST", f"{base_url}/chat/completions", json=ASK) as response:
            async for _ in response.aiter_raw():
                first = first or time.perf_counter()
                count += 1
        return count, first, ""

    return run


def sdk_async(base_url: str) -> AsyncStream:
    """The async SDK's `create(stream=True)`."""
    import openai

    return _sdk_async(openai.AsyncOpenAI(api_key="k", base_url=base_url))


def sdk_aiohttp(base_url: str) -> AsyncStream:
    """The same over the SDK's aiohttp transport."""
    import openai

    http_client = openai.DefaultAioHttpClient()
    return _sdk_async(openai.AsyncOpenAI(api_key="k", base_url=base_url, http_client=http_client))


def _sdk_async(client: Any) -> AsyncStream:
    async def run() -> tuple[int, float | None, str]:
        count, first, usage = 0, None, None
        async for chunk in await client.chat.completions.create(**ASK):
            first = first or time.perf_counter()
            count += 1
            usage = chunk.usage or usage
        return count, first, str(usage.total_tokens)

    return run


def ours_async(base_url: str) -> AsyncStream:
    """`usagestream.AsyncClient`."""
    return _ours_async(base_url, "default")


def ours_aiohttp(base_url: str) -> AsyncStream:
    """The same over the SDK's aiohttp transport."""
    return _ours_async(base_url, "aiohttp")


def _ours_async(base_url: str, http: str) -> AsyncStream:
    from usagestream import AsyncClient
    from usagestream_adapters.openai import OpenAIProfile

    records: list[Any] = []
    settings = {"api_key": "k", "base_url": base_url, "async_http": http}
    client = AsyncClient(OpenAIProfile.model_validate(settings), on_record=records.append)

    async def run() -> tuple[int, float | None, str]:
        count, first = 0, None
        async with client.stream(model=MODEL, messages=MESSAGES) as stream:
            async for _ in stream:
                first = first or time.perf_counter()
                count += 1
        return count, first, str(records.pop().usage.total_tokens)

    return run


def tracked_async(base_url: str) -> AsyncStream:
    """`track(AsyncOpenAI())`."""
    return _tracked_async(base_url, None)


def tracked_aiohttp(base_url: str) -> AsyncStream:
    """The same over the SDK's aiohttp transport."""
    import openai

    return _tracked_async(base_url, openai.DefaultAioHttpClient())


def _tracked_async(base_url: str, http_client: Any) -> AsyncStream:
    import openai

    from usagestream import track

    records: list[Any] = []
    bare = openai.AsyncOpenAI(api_key="k", base_url=base_url, http_client=http_client)
    client = track(bare, on_record=records.append)

    async def run() -> tuple[int, float | None, str]:
        count, first = 0, None
        async for _ in await client.chat.completions.create(**PLAIN):
            first = first or time.perf_counter()
            count += 1
        return count, first, str(records.pop().usage.total_tokens)

    return run


def litellm_async(base_url: str) -> AsyncStream:
    """`litellm.acompletion`."""
    import litellm

    async def run() -> tuple[int, float | None, str]:
        count, first, usage = 0, None, None
        asked = {**ASK, "model": f"openai/{MODEL}"}
        async for chunk in await litellm.acompletion(**asked, api_key="k", api_base=base_url):
            first = first or time.perf_counter()
            count += 1
            usage = getattr(chunk, "usage", None) or usage
        return count, first, str(usage.total_tokens)

    return run


def langchain_async(base_url: str) -> AsyncStream:
    """`ChatOpenAI.astream` of langchain-openai."""
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model=MODEL, api_key="k", base_url=base_url, stream_usage=True)

    async def run() -> tuple[int, float | None, str]:
        count, first, usage = 0, None, None
        async for chunk in model.astream(MESSAGES):
            first = first or time.perf_counter()
            count += 1
            usage = chunk.usage_metadata or usage
        return count, first, str(usage["total_tokens"])

    return run


def any_llm_async(base_url: str) -> AsyncStream:
    """`any_llm.acompletion`."""
    import any_llm

    async def run() -> tuple[int, float | None, str]:
        count, first, usage = 0, None, None
        asked = {**ASK, "model": f"openai:{MODEL}"}
        async for chunk in await any_llm.acompletion(**asked, api_key="k", api_base=base_url):
            first = first or time.perf_counter()
            count += 1
            usage = chunk.usage or usage
        return count, first, str(usage.total_tokens)

    return run


def pydantic_ai_async(base_url: str) -> AsyncStream:
    """`model_request_stream` of pydantic-ai, without an agent."""
    from pydantic_ai.direct import model_request_stream
    from pydantic_ai.messages import ModelRequest
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=base_url, api_key="k"))
    request = [ModelRequest.user_text_prompt(MESSAGES[0]["content"])]

    async def run() -> tuple[int, float | None, str]:
        count, first = 0, None
        async with model_request_stream(model, request) as stream:
            async for _ in stream:
                first = first or time.perf_counter()
                count += 1
            usage = stream.usage
        return count, first, str((usage() if callable(usage) else usage).total_tokens)

    return run


async def all_of(run: AsyncStream, first: Any, streams: int) -> tuple[int, float | None, str]:
    """Read so many streams at once."""
    read = await asyncio.gather(first, *(run() for _ in range(streams - 1)))
    return sum(count for count, _, _ in read), read[0][1], read[0][2]


def main() -> None:
    """Prepare the contestant, then run it once for each line."""
    make = globals()[sys.argv[1]]
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    prepared: dict[str, Any] = {}

    async def prepare(base_url: str) -> Any:
        return make(base_url)

    for line in sys.stdin:
        asked = json.loads(line)
        base_url, streams = asked["base_url"], asked["streams"]
        MESSAGES[:] = [QUESTION] * asked["messages"]
        if base_url not in prepared:
            prepared[base_url] = loop.run_until_complete(prepare(base_url))
        cpu, start = time.process_time(), time.perf_counter()
        ran = prepared[base_url]()
        if asyncio.iscoroutine(ran):
            ran = loop.run_until_complete(all_of(prepared[base_url], ran, streams))
        spent, ended = time.process_time() - cpu, time.perf_counter()
        count, first, total = ran
        answer = {
            "cpu": spent,
            "wall": ended - start,
            "first": None if first is None else first - start,
            "chunks": count,
            "total_tokens": total,
            "peak_rss_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        }
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
