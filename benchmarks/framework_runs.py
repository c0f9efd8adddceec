"""Runs each framework on a bare client and on a tracked one, against the emulator.

Started by `python -m benchmarks.frameworks` in an environment that has them, with the names of
packages, or none for all. Prints a line of JSON for each run: what differed, and what the records
say.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from framework_sides import Answer, Clients, Run, compared
from pydantic import BaseModel

from usagestream_adapters.emulator import Scenario, ToolCall

MODEL = "gpt-4o"
QUESTION = "What is the weather in Paris?"
TEXT = Scenario(text="It is sunny in Paris, and 24 degrees warm.")
TOOL = Scenario(tool_calls=[ToolCall(name="weather", arguments='{"city": "Paris"}')])
FORM = Scenario(tool_calls=[ToolCall(name="Weather", arguments='{"city": "Paris", "degrees": 24}')])


class Weather(BaseModel):
    """What instructor is to make of an answer."""

    city: str
    degrees: int


def _city_weather(city: str) -> str:
    """Give the weather in a city."""
    return f"sunny in {city}"


def _pydantic_ai(api: str, *, streamed: bool) -> Callable[[Clients], Awaitable[Answer]]:
    async def ask(clients: Clients) -> Answer:
        from pydantic_ai import Agent
        from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
        from pydantic_ai.providers.openai import OpenAIProvider

        kind: Any = OpenAIChatModel if api == "chat" else OpenAIResponsesModel
        model = kind(MODEL, provider=OpenAIProvider(openai_client=clients.asynchronous))
        agent: Any = Agent(model)
        agent.tool_plain(name="weather")(_city_weather)
        if not streamed:
            result = await agent.run(QUESTION)
            return result.output, _total(result.usage)
        async with agent.run_stream(QUESTION) as stream:
            pieces = [piece async for piece in stream.stream_text(delta=True, debounce_by=None)]
            return pieces, _total(stream.usage)

    return ask


def _total(usage: Any) -> int:
    found = usage() if callable(usage) else usage  # a method, before it was an attribute
    return int(found.total_tokens)


def _langchain(api: str, *, streamed: bool, asynchronous: bool) -> Any:
    async def ask(clients: Clients) -> Answer:
        from langchain_openai import ChatOpenAI

        model = ChatOpenAI(
            model=MODEL,
            api_key="any",
            root_client=clients.sync,
            client=clients.sync.chat.completions,
            root_async_client=clients.asynchronous,
            async_client=clients.asynchronous.chat.completions,
            use_responses_api=api == "responses",
            stream_usage=True,
        )
        if not streamed:
            message = await model.ainvoke(QUESTION) if asynchronous else model.invoke(QUESTION)
            return message.text, message.usage_metadata["total_tokens"]
        if asynchronous:
            chunks = [chunk async for chunk in model.astream(QUESTION)]
        else:
            chunks = list(model.stream(QUESTION))
        said = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
        return [chunk.text for chunk in chunks], sum(usage["total_tokens"] for usage in said)

    return ask


def _agents(api: str, *, streamed: bool) -> Callable[[Clients], Awaitable[Answer]]:
    async def ask(clients: Clients) -> Answer:
        from agents import (
            Agent,
            ModelSettings,
            OpenAIChatCompletionsModel,
            OpenAIResponsesModel,
            Runner,
            function_tool,
            set_tracing_disabled,
        )

        set_tracing_disabled(True)
        kind: Any = OpenAIChatCompletionsModel if api == "chat" else OpenAIResponsesModel
        agent: Any = Agent(
            name="Forecaster",
            model=kind(model=MODEL, openai_client=clients.asynchronous),
            tools=[function_tool(_city_weather, name_override="weather")],
            model_settings=ModelSettings(include_usage=True),
        )
        if not streamed:
            result: Any = await Runner.run(agent, QUESTION)
            return result.final_output, result.context_wrapper.usage.total_tokens
        result = Runner.run_streamed(agent, QUESTION)
        kinds = [
            getattr(event.data, "type", "") if event.type == "raw_response_event" else event.type
            async for event in result.stream_events()
        ]
        return [kinds, result.final_output], result.context_wrapper.usage.total_tokens

    return ask


def _instructor(*, streamed: bool, asynchronous: bool) -> Callable[[Clients], Awaitable[Answer]]:
    async def ask(clients: Clients) -> Answer:
        import instructor

        client: Any = instructor.from_openai(
            clients.asynchronous if asynchronous else clients.sync
        ).chat.completions
        asked = {
            "model": MODEL,
            "response_model": Weather,
            "messages": [{"role": "user", "content": QUESTION}],
        }
        if streamed:
            partial = client.create_partial(**asked)
            if asynchronous:
                return [str(each) async for each in partial], None
            return [str(each) for each in partial], None
        made = client.create_with_completion(**asked)
        weather, completion = await made if asynchronous else made
        return str(weather), completion.usage.total_tokens

    return ask


RUNS = [
    *(
        Run("pydantic-ai-slim", f"{api}{', streamed' * streamed}", (TOOL, TEXT), ask)
        for api in ("chat", "responses")
        for streamed in (False, True)
        for ask in [_pydantic_ai(api, streamed=streamed)]
    ),
    *(
        Run(
            "langchain-openai",
            f"{api}{', streamed' * streamed}{', async' * asynchronous}",
            (TEXT,),
            _langchain(api, streamed=streamed, asynchronous=asynchronous),
        )
        for api in ("chat", "responses")
        for streamed in (False, True)
        for asynchronous in (False, True)
    ),
    *(
        Run("openai-agents", f"{api}{', streamed' * streamed}", (TOOL, TEXT), ask)
        for api in ("chat", "responses")
        for streamed in (False, True)
        for ask in [_agents(api, streamed=streamed)]
    ),
    *(
        Run(
            "instructor",
            f"chat{', streamed' * streamed}{', async' * asynchronous}",
            (FORM,),
            _instructor(streamed=streamed, asynchronous=asynchronous),
        )
        for streamed in (False, True)
        for asynchronous in (False, True)
    ),
]


def main() -> None:
    """Run all, or those of the packages that are named."""
    named = sys.argv[1:]
    for run in RUNS:
        if not named or run.package in named:
            print(json.dumps(asyncio.run(compared(run))), flush=True)


if __name__ == "__main__":
    main()
