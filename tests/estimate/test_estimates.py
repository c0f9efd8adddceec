"""What nobody reported is estimated, says so, and is no better than it claims."""

from __future__ import annotations

import base64
import os
import re
import statistics
import struct
from pathlib import Path
from typing import Any

import pytest
from benchmarks import estimates
from pydantic import BaseModel

from usagestream import Client, ConfigError, TokenCounter, Usage, UsageSource
from usagestream_adapters import token_counter as tokens
from usagestream_adapters.emulator import Answer, Emulator, Scenario, ToolCall
from usagestream_adapters.openai import OpenAIProfile
from usagestream_core.chunk import Chunk, ToolCallDelta
from usagestream_core.estimates.estimate import (
    _installed_counter,  # pyright: ignore[reportPrivateUsage]
    estimate,
    find_counter,
)
from usagestream_core.estimates.images import image_size, image_tokens
from usagestream_core.estimates.prompt import count_prompt
from usagestream_core.streams.limit import OutputLimit

QUESTION: Any = [{"role": "user", "content": "What's 1+1? Answer in one word."}]
COUNTER = tokens.BpeCounter()


class Words:
    """Counts words, of any model but one."""

    def count(self, text: str, model: str) -> int | None:
        """As a tokenizer would."""
        if model == "broken":
            raise ZeroDivisionError
        return None if model == "unknown" else len(text.split())


def words(text: str) -> int:
    """Count words."""
    return len(text.split())


def guess(model: str = "gpt-4o", pieces: tuple[str, ...] = ("a b c",), **more: Any) -> Usage | None:
    """Estimate with the word counter."""
    params: dict[str, Any] = {"messages": QUESTION, **more.pop("params", {})}
    return estimate(
        more.pop("reported", {}),
        counter=Words(),
        model=model,
        params=params,
        pieces=pieces,
        has_tool_calls=more.pop("has_tool_calls", False),
    )


def test_the_counter_that_is_meant() -> None:
    """The installed one, your own, or none."""
    mine = Words()
    assert isinstance(find_counter(), tokens.BpeCounter)
    assert find_counter(mine) is mine
    assert find_counter(None) is None
    assert isinstance(mine, TokenCounter)


@pytest.mark.parametrize("junk", ["bpe", Words, 7])
def test_what_cannot_count_is_refused(junk: Any) -> None:
    """A name or a class is no counter."""
    with pytest.raises(ConfigError, match="token_counter must be"):
        find_counter(junk)


def test_without_a_tokenizer_nothing_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is optional; without it counts stay unknown."""
    monkeypatch.setattr(tokens, "find_spec", dict[str, object]().get)
    _installed_counter.cache_clear()
    try:
        assert tokens.installed_counter() is None
        assert find_counter() is None
    finally:
        _installed_counter.cache_clear()


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-4o-mini-2024-07-18", "o200k_base"),
        ("ft:gpt-4.1-mini:team::id", "o200k_base"),
        ("gpt-5.2-chat-latest", "o200k_base"),
        ("o4-mini", "o200k_base"),
        ("gpt-4-0613", "cl100k_base"),
        ("gpt-35-turbo", "cl100k_base"),
        ("mistral-small", None),
        ("chat-prod", None),
    ],
)
def test_the_encoding_of_a_model(model: str, encoding: str | None) -> None:
    """By family; another vendor's model has none, and is not counted."""
    assert tokens.encoding_of(model) == encoding
    assert (COUNTER.count("two words", model) is None) == (encoding is None)


def test_counts_are_those_of_the_model() -> None:
    """Known counts of a known tokenizer, offline."""
    assert COUNTER.count("hello world", "gpt-4o") == 2
    assert COUNTER.count("", "gpt-4o") == 0


def test_a_text_longer_than_the_tokenizer_takes_is_counted() -> None:
    """The tokenizer refuses a million characters; the count is that of its words."""
    assert COUNTER.count(" token" * 200_000, "gpt-4o") == 200_000
    assert COUNTER.count("=" * 250_000, "gpt-4o") is not None


def test_only_what_is_missing_is_filled_in() -> None:
    """Reported counts are facts; the rest is an estimate, and the whole says so."""
    usage = guess(reported={"input_tokens": 18, "cache_read_tokens": 3})
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (18, 3, 21)
    assert (usage.cache_read_tokens, usage.source) == (3, UsageSource.ESTIMATED)
    assert not usage.lower_bound
    filled = guess(reported={"output_tokens": 7})
    assert filled is not None
    assert filled.output_tokens == 7
    assert guess(reported={"input_tokens": 1, "output_tokens": 2}) is None


def test_a_model_that_is_not_known_is_not_estimated() -> None:
    """Nothing is guessed."""
    assert guess("unknown") is None


@pytest.mark.parametrize(
    ("model", "more", "lower"),
    [
        ("gpt-4o", {}, False),
        ("o3-mini", {}, True),
        ("gpt-5", {}, True),
        ("gpt-5.2-chat-latest", {}, False),
        ("gpt-4o", {"has_tool_calls": True}, True),
        ("gpt-4o", {"params": {"modalities": ["text", "audio"]}}, True),
        ("any", {"params": {"reasoning_effort": "low"}}, True),
        ("any", {"params": {"reasoning_effort": "none"}}, False),
        ("gpt-4o", {"params": {"response_format": {"type": "json_object"}}}, True),
    ],
)
def test_a_lower_bound_says_so(model: str, more: dict[str, Any], lower: bool) -> None:
    """Wherever something may be unseen."""
    usage = guess(model, **more)
    assert usage is not None
    assert usage.lower_bound is lower


class SdkMessage(BaseModel):
    """A message as the SDK hands it back."""

    role: str = "assistant"
    content: str = "one two"
    refusal: str | None = None


WEATHER = {
    "name": "weather",
    "description": "The weather.",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Where."},
            "unit": {"type": ["string", "null"], "enum": ["C", "F"]},
        },
    },
}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{ }"}}
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.test/a.png"}}


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, (3, False)),
        ({"messages": "junk"}, (3, False)),
        ({"messages": [7, {"role": 7}]}, (9, False)),
        ({"messages": [{"role": "user", "content": "a b"}]}, (9, False)),
        ({"messages": [{"role": "user", "content": "a b", "name": "me"}]}, (11, False)),
        ({"messages": [SdkMessage()]}, (9, False)),
        ({"messages": [SdkMessage]}, (6, False)),
        ({"messages": ({"role": "user", "content": None},)}, (7, False)),
        ({"messages": [{"role": "assistant", "refusal": "no no"}]}, (9, False)),
        ({"messages": [{"role": "assistant", "tool_calls": [CALL]}]}, (10, True)),
        ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, (7, True)),
        (
            {"messages": [{"role": "user", "content": [{"text": "a b"}]}]},
            (9, False),
        ),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, (7, True)),
        ({"messages": [{"role": "user", "content": [PICTURE]}]}, (7 + 85, True)),
        ({"tools": [{"type": "function", "function": WEATHER}]}, (41, True)),
        ({"functions": [WEATHER]}, (41, True)),
        ({"functions": [{"name": "f"}]}, (3 + 7 + 1 + 12, True)),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, (3, True)),
    ],
)
def test_the_recipe_of_a_prompt(params: dict[str, Any], expected: tuple[int, bool]) -> None:
    """Words for tokens, so that the recipe's own numbers show."""
    assert count_prompt(params, "gpt-4o", words) == expected


def data_url(raw: bytes) -> str:
    """An image sent along."""
    return "data:image/png;base64," + base64.b64encode(raw).decode()


PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", 1024, 512)
GIF = b"GIF89a" + struct.pack("<HH", 30, 20)
JPEG = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x11\x08" + struct.pack(">HH", 20, 30)
LOSSY = b"RIFF\x00\x00\x00\x00WEBPVP8 " + b"\x00" * 10 + struct.pack("<HH", 30, 20)
LOSSLESS = b"RIFF\x00\x00\x00\x00WEBPVP8L" + b"\x00" * 5 + struct.pack("<I", 29 | 19 << 14)
EXTENDED = b"RIFF\x00\x00\x00\x00WEBPVP8X" + b"\x00" * 8 + b"\x1d\x00\x00\x13\x00\x00"


@pytest.mark.parametrize(
    ("url", "size"),
    [
        (data_url(PNG), (1024, 512)),
        (data_url(GIF), (30, 20)),
        (data_url(JPEG), (30, 20)),
        (data_url(LOSSY), (30, 20)),
        (data_url(LOSSLESS), (30, 20)),
        (data_url(EXTENDED), (30, 20)),
        (data_url(b"RIFF\x00\x00\x00\x00WEBPVP8?"), None),
        (data_url(b"\xff\xd8\xff\xe0\x00\x04ab"), None),
        (data_url(b"\x89PNG"), None),
        (data_url(b"GIF89a\x00\x00\x00\x00"), None),
        (data_url(b"BM"), None),
        ("data:image/png;base64,====", None),
        ("data:image/png,raw", None),
        ("https://example.test/a.png", None),
    ],
)
def test_the_size_of_an_image(url: str, size: tuple[int, int] | None) -> None:
    """Only an image that is sent along tells its size, in the formats that providers take."""
    assert image_size(url) == size


@pytest.mark.parametrize(
    ("model", "detail", "raw", "expected"),
    [
        ("gpt-4o", "high", PNG, 85 + 2 * 170),
        ("gpt-4o", "low", PNG, 85),
        ("gpt-4o-mini", "auto", PNG, 2833 + 2 * 5667),
        ("o1", "auto", PNG, 75 + 2 * 150),
        ("gpt-4.1-mini", "auto", PNG, 830),
        ("gpt-4.1-mini", "auto", b"BM", 0),
        ("gpt-5-nano", "auto", b"\x89PNG\r\n\x1a\n....IHDR" + struct.pack(">II", 4000, 3000), 3572),
    ],
)
def test_the_cost_of_an_image(model: str, detail: str, raw: bytes, expected: int) -> None:
    """Tiles or patches, by the published rules."""
    assert image_tokens(data_url(raw), detail, model) == expected


def test_a_limit_counts_as_the_whole_text_would() -> None:
    """Counted piece by piece, text comes to what it comes to whole, within a token."""
    text = "Counting tokens one by one, incrementally: it shouldn't drift. " * 20
    limit = OutputLimit(10_000, COUNTER, "gpt-4o", quiet=False)
    for at in range(0, len(text), 3):
        assert not limit.passed(Chunk(text[at : at + 3]))
    whole = COUNTER.count(text, "gpt-4o")
    assert whole is not None
    assert abs(limit.seen - whole) <= 1


def test_a_limit_counts_refusals_tool_calls_and_endless_words() -> None:
    """Everything the model writes counts, and a word without an end is cut."""
    limit = OutputLimit(10_000, COUNTER, "gpt-4o", quiet=True)
    limit.passed(Chunk(refusal="No way"))
    limit.passed(Chunk(tool_calls=(ToolCallDelta(0, name="weather", arguments='{"city":'),)))
    seen = limit.seen
    assert seen >= 5
    for _ in range(100):
        limit.passed(Chunk("x" * 9))
    assert limit.seen > seen + 50


def ask(server: Emulator, scenario: Scenario, **params: Any) -> Usage:
    """Read a whole answer that comes without its usage."""
    server.script(scenario)
    profile = OpenAIProfile.model_validate({"api_key": "k", "base_url": server.openai_base_url})
    with Client(profile) as client:
        asked: dict[str, Any] = {"model": "gpt-4o", "messages": QUESTION, **params}
        return client.stream(**asked).drain()


@pytest.mark.parametrize(
    ("scenario", "params", "output", "lower"),
    [
        (Scenario(text="Two", omit_usage=True), {}, 1, False),
        (Scenario(refusal="I can't.", omit_usage=True), {}, 3, False),
        (Scenario(choices=("Two", Answer(text="Two")), omit_usage=True), {"n": 2}, 2, False),
        (Scenario(text="Two", omit_usage=True), {"model": "o3-mini"}, 1, True),
        (
            Scenario(tool_calls=[ToolCall(name="weather", arguments="{}")], omit_usage=True),
            {},
            9,
            True,
        ),
    ],
)
def test_an_answer_without_usage(
    scenario: Scenario, params: dict[str, Any], output: int, lower: bool
) -> None:
    """End to end: what was received is counted, and the last chunk says that it is an estimate."""
    with Emulator() as server:
        usage = ask(server, scenario, **params)
    expected = 18 if params.get("model") is None else 17
    assert (usage.source, usage.input_tokens) == (UsageSource.ESTIMATED, expected)
    assert (usage.output_tokens, usage.lower_bound) == (output, lower)


CORPUS = os.environ.get("USAGESTREAM_CORPUS")
needs_corpus = pytest.mark.skipif(not CORPUS, reason="USAGESTREAM_CORPUS is not set")


@needs_corpus
def test_plain_text_is_estimated_within_one_percent() -> None:
    """The median over recorded answers in plain text, by models without hidden reasoning."""
    plain = re.compile(r"gpt-(3\.5|35|4(?!\.5)|4o|4\.1)")
    found = [
        estimates.percent(sample, "output_tokens")
        for sample in estimates.samples(Path(CORPUS or ""))
        if sample.kind == "text" and plain.match(sample.model)
    ]
    assert len(found) >= 5
    assert statistics.median(found) <= 1


@needs_corpus
def test_the_docs_show_the_measured_errors() -> None:
    """Where the same exchanges are at hand, the table in the docs is what they give."""
    table = estimates.render(estimates.samples(Path(CORPUS or "")))
    page = estimates.PAGE.read_text("utf-8")
    same = table.splitlines()[0] in page
    assert (table in page) == same


def test_the_command_prints_and_writes_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a folder it says what to set; with one, the table goes into the page."""
    monkeypatch.setattr("sys.argv", ["estimates", "--write"])
    monkeypatch.delenv("USAGESTREAM_CORPUS", raising=False)
    with pytest.raises(SystemExit, match="USAGESTREAM_CORPUS"):
        estimates.main()
    page = tmp_path / "page.md"
    page.write_text(f"above\n{estimates.BEGIN} old {estimates.END}\nbelow\n")
    monkeypatch.setattr(estimates, "PAGE", page)
    monkeypatch.setenv("USAGESTREAM_CORPUS", str(tmp_path))
    estimates.main()
    assert "0 exchanges" in capsys.readouterr().out
    assert "old" not in page.read_text()
