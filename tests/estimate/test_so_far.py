"""`stream.so_far`: what a stream has cost until now, asked for at any chunk."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usagestream import AsyncClient, Client, Emulator, OpenAIProfile, Scenario, Usage
from usagestream_adapters.emulator.scenario import Answer, ToolCall
from usagestream_core.estimates.estimate import estimate
from usagestream_core.estimates.running import RunningEstimate

QUESTION: list[dict[str, Any]] = [{"role": "user", "content": "Count to ten."}]
WORDS = [f"word{number} " for number in range(10)]


class ByWords:
    """Counts words, and how many characters it was given."""

    def __init__(self) -> None:
        self.read = 0

    def count(self, text: str, model: str) -> int | None:
        self.read += len(text)
        return len(text.split()) if model != "unknown" else None


def profile(server: Emulator) -> OpenAIProfile:
    """The emulator's."""
    return OpenAIProfile(api_key="any", base_url=server.openai_base_url)


def each(server: Emulator, scenario: Scenario, **client: Any) -> tuple[list[Usage], Usage]:
    """What it is at each chunk, and at the end."""
    server.script(scenario)
    with Client(profile(server), **client) as made:
        stream = made.stream(model="gpt-4o", messages=QUESTION)
        before = [stream.so_far] + [stream.so_far for _ in stream]
        return before, stream.so_far


@pytest.fixture
def server() -> Any:
    """A running emulator."""
    with Emulator() as running:
        yield running


def test_it_grows_until_the_report_comes(server: Emulator) -> None:
    """An estimate at every chunk, marked as one; the provider's own figure at the last."""
    scenario = Scenario(text=WORDS, usage={"prompt_tokens": 9, "completion_tokens": 99})
    usages, last = each(server, scenario, token_counter=ByWords())
    assert usages[0] == Usage()
    counted = usages[1:-1]
    assert {usage.source for usage in counted} == {"estimated"}
    outputs = [usage.output_tokens or 0 for usage in counted]
    assert outputs == sorted(outputs)
    assert outputs[-1] == 10
    assert all(u.total_tokens == (u.input_tokens or 0) + (u.output_tokens or 0) for u in counted)
    assert usages[-1] == last
    assert (last.source, last.output_tokens) == ("reported", 99)


def test_at_the_end_it_is_the_record_s(server: Emulator) -> None:
    """Of a stream that nobody reports for, too."""
    _, last = each(server, Scenario(text=WORDS, omit_usage=True), token_counter=ByWords())
    assert (last.source, last.output_tokens) == ("estimated", 10)


def test_every_choice_and_every_tool_call_counts(server: Emulator) -> None:
    """As in the record's own estimate."""
    call = ToolCall(name="add", arguments='{"a": 1}')
    scenario = Scenario(
        choices=[Answer(text=WORDS), Answer(tool_calls=[call]), Answer(refusal=["I ", "will not"])],
        omit_usage=True,
    )
    usages, last = each(server, scenario, token_counter=ByWords())
    assert abs((usages[-2].output_tokens or 0) - (last.output_tokens or 0)) <= 3
    assert usages[-2].lower_bound


@pytest.mark.parametrize("model", ["gpt-4o", "unknown"])
def test_without_a_way_to_count(server: Emulator, model: str) -> None:
    """It is what was reported: nothing, until it is."""
    counter = None if model == "gpt-4o" else ByWords()
    usages, last = each(server, Scenario(text=WORDS, model=model), token_counter=counter)
    assert set(usages[:-1]) == {Usage()}
    assert last.source == "reported"


def test_a_counter_that_raises_breaks_nothing(server: Emulator) -> None:
    """The stream goes on, and nothing is known until it is reported."""

    class Broken:
        def count(self, text: str, model: str) -> int | None:
            raise ValueError("broken")

    usages, last = each(server, Scenario(text=WORDS), token_counter=Broken())
    assert set(usages[:-1]) == {Usage()}
    assert last.source == "reported"


def test_it_counts_only_what_is_new(server: Emulator) -> None:
    """A long answer, asked about at every chunk, is read a few times in all, not once a chunk."""
    counter = ByWords()
    text = ["word "] * 400
    usages, _ = each(server, Scenario(text=text), token_counter=counter)
    assert len(usages) > 400
    assert counter.read < 20 * len("".join(text))


def test_async(server: Emulator) -> None:
    """The same."""
    server.script(Scenario(text=WORDS))

    async def main() -> list[str]:
        async with AsyncClient(profile(server), token_counter=ByWords()) as client:
            stream = client.stream(model="gpt-4o", messages=QUESTION)
            return [str(stream.so_far.source) async for _ in stream]

    sources = asyncio.run(main())
    assert sources == ["estimated"] * (len(sources) - 1) + ["reported"]


@given(st.lists(st.lists(st.text(alphabet="ab ", max_size=8), max_size=8), max_size=3), st.data())
def test_it_is_the_estimate_of_all_that_came(texts: list[list[str]], data: st.DataObject) -> None:
    """However the pieces come, and however often it is asked for."""
    counter = ByWords()
    running = RunningEstimate(counter, "gpt-4o", {"messages": QUESTION})
    growing: list[list[str]] = [[] for _ in texts]
    for text, come in zip(texts, growing, strict=True):
        for piece in text:
            come.append(piece)
            if data.draw(st.booleans()):
                running.usage({}, growing, has_tool_calls=False)
    assert running.usage({}, growing, has_tool_calls=False) == estimate(
        {},
        counter=counter,
        model="gpt-4o",
        params={"messages": QUESTION},
        pieces=["".join(text) for text in texts],
        has_tool_calls=False,
    )
