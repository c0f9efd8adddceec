"""What libraries say a stream has used, on ways that a stream can go.

    python -m benchmarks.alternatives

Runs each, in the environment that `python -m benchmarks.frameworks` makes, against the local
server, and prints a table: the tokens in all that the library says of each way, `None` where it
says nothing, or the error that it raises. Every library is told to ask for usage, and not to try
again. `-` means that the library does not show that moment.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.frameworks import environment
from usagestream import Client, Emulator, OpenAIProfile, Scenario
from usagestream_adapters.emulator import Answer

QUESTION = "Why count tokens?"
_TEXT = ["Because", " somebody", " pays", "."]
WAYS: dict[str, tuple[Scenario, str]] = {
    "read to the end": (Scenario(text=_TEXT), "read"),
    "the server refuses `stream_options`": (
        Scenario(text=_TEXT, stream_options_refused="unrecognized_argument"),
        "read",
    ),
    "nobody reported usage": (Scenario(text=_TEXT, omit_usage=True), "read"),
    "a chunk comes after the usage": (Scenario(text=_TEXT, moderation=True), "read"),
    "several choices": (Scenario(choices=[Answer(text="One"), Answer(text="Two")]), "read"),
    "the body ends in the middle": (Scenario(text=_TEXT, cut_after_frames=3), "read"),
    "the connection breaks": (Scenario(text=_TEXT, cut_after_frames=3, cut="reset"), "read"),
    "you leave early": (Scenario(text=_TEXT), "leave"),
    "you leave after the finish reason": (Scenario(text=_TEXT), "finish"),
}


def _leaves(how: str, text: Any, finished: Any) -> bool:
    return (how == "leave" and bool(text)) or (how == "finish" and bool(finished))


async def _openai(at: dict[str, Any], how: str) -> Any:
    from openai import OpenAI

    usage = None
    with OpenAI(**at, max_retries=0).chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": QUESTION}],
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        for chunk in stream:
            usage = chunk.usage or usage
            choice: Any = chunk.choices[0] if chunk.choices else None
            if choice and _leaves(how, choice.delta.content, choice.finish_reason):
                break
    return usage and usage.total_tokens


async def _openai_helper(at: dict[str, Any], how: str) -> Any:
    from openai import OpenAI

    with OpenAI(**at, max_retries=0).chat.completions.stream(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": QUESTION}],
        stream_options={"include_usage": True},
    ) as stream:
        for event in stream:
            if how == "finish" and event.type == "content.done":
                break
            if how == "leave" and event.type == "content.delta":
                break
        usage = stream.current_completion_snapshot.usage
    return usage and usage.total_tokens


async def _langchain(at: dict[str, Any], how: str) -> Any:
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model="gpt-4o-mini", stream_usage=True, max_retries=0, **at)
    usage: Any = None
    for chunk in model.stream(QUESTION):
        usage = chunk.usage_metadata or usage
        if _leaves(how, chunk.text, chunk.response_metadata.get("finish_reason")):
            break
    return usage and usage["total_tokens"]


async def _pydantic_ai(at: dict[str, Any], how: str) -> Any:
    if how == "finish":
        return "-"
    from openai import AsyncOpenAI
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    client = AsyncOpenAI(**at, max_retries=0)
    model: Any = OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(openai_client=client))
    agent: Any = Agent(model)
    async with client, agent.run_stream(QUESTION) as run:
        async for text in run.stream_text(delta=True, debounce_by=None):
            if _leaves(how, text, None):
                break
        usage: Any = run.usage() if callable(run.usage) else run.usage
    return usage.total_tokens


async def _agents(at: dict[str, Any], how: str) -> Any:
    if how == "finish":
        return "-"
    from agents import (
        Agent,
        ModelSettings,
        OpenAIChatCompletionsModel,
        Runner,
        set_tracing_disabled,
    )
    from openai import AsyncOpenAI

    set_tracing_disabled(True)
    client: Any = AsyncOpenAI(**at, max_retries=0)
    model = OpenAIChatCompletionsModel(model="gpt-4o-mini", openai_client=client)
    agent: Any = Agent(name="A", model=model, model_settings=ModelSettings(include_usage=True))
    async with client:
        run: Any = Runner.run_streamed(agent, QUESTION)
        async for event in run.stream_events():
            kind = getattr(getattr(event, "data", None), "type", "")
            if _leaves(how, kind == "response.output_text.delta", None):
                run.cancel()
    return run.context_wrapper.usage.total_tokens


async def _usagestream(at: dict[str, Any], how: str) -> Any:
    with Client(OpenAIProfile(**at, max_retries=0)) as client:
        question = [{"role": "user", "content": QUESTION}]
        stream = client.stream(model="gpt-4o-mini", messages=question)
        try:
            with stream:
                for chunk in stream:
                    if _leaves(how, chunk.text, chunk.finish_reason):
                        break
        except Exception as exc:  # noqa: BLE001 - every error of a stream carries its record
            return f"{_said(stream.usage)}, in `{type(exc).__name__}`"
        return _said(stream.usage)


def _said(usage: Any) -> str:
    return f"{usage.total_tokens} {usage.source}"


LIBRARIES: dict[str, tuple[str, Callable[[dict[str, Any], str], Awaitable[Any]]]] = {
    "openai": ("openai", _openai),
    "openai, `stream()`": ("openai", _openai_helper),
    "langchain-openai": ("langchain-openai", _langchain),
    "pydantic-ai": ("pydantic-ai-slim", _pydantic_ai),
    "openai-agents": ("openai-agents", _agents),
    "usagestream": ("usagestream", _usagestream),
}


async def seen(library: str, way: str) -> str:
    """What a library says of a way, or the error that it raises."""
    scenario, how = WAYS[way]
    _, ask = LIBRARIES[library]
    with Emulator() as server:
        server.script(scenario)
        at: dict[str, Any] = {"base_url": server.openai_base_url, "api_key": "any"}
        try:
            return str(await ask(at, how))
        except Exception as exc:  # noqa: BLE001 - it is what the table is of
            return f"`{type(exc).__name__}`"


def main() -> None:
    """Run all of them; with `--here`, in this environment, a line of JSON for each way."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.alternatives", description=__doc__)
    parser.add_argument("--environment", type=Path, default=Path(".benchmarks/frameworks"))
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        print(json.dumps([f"{name} {version(each)}" for name, (each, _) in LIBRARIES.items()]))
        for way in WAYS:
            cells = [asyncio.run(seen(library, way)) for library in LIBRARIES]
            print(json.dumps([way, *cells]), flush=True)
        return
    python = environment(arguments.environment)
    command = [python, "-m", "benchmarks.alternatives", "--here"]
    env = {**os.environ, "LANGSMITH_TRACING": "false", "OPENAI_AGENTS_DISABLE_TRACING": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=env, check=True)
    head, *rows = [json.loads(line) for line in done.stdout.splitlines()]
    print("| what happens |", " | ".join(head), "|")
    print("|---" * (len(head) + 1) + "|")
    for row in rows:
        print("|", " | ".join(row), "|")


if __name__ == "__main__":
    main()
