"""One test, one conversation, either provider."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from usagestream import Client, Usage
from usagestream_adapters.emulator import Answer as Said
from usagestream_adapters.emulator import Scenario

from .conftest import CASSETTES, MODEL, Ask, Service, make_profile

TURNS = ["Name a prime.", "And the next one? 🤔"]
SCRIPT = [Scenario(choices=[Said(text="Seven, I'd say.")]), Scenario(text="Eleven follows.")]
SURFACES = ["openai", "azure-classic", "azure-entra", "azure-v1"]

Told = tuple[list[str], list[Usage]]


def converse(ask: Ask) -> Told:
    """Have the conversation, each turn with all that was said before."""
    messages: list[dict[str, str]] = []
    texts: list[str] = []
    usages: list[Usage] = []
    for turn, scenario in zip(TURNS, SCRIPT, strict=True):
        messages.append({"role": "user", "content": turn})
        answer = ask(scenario, messages=messages, temperature=0)
        messages.append({"role": "assistant", "content": answer.text()})
        texts.append(answer.text())
        usages.append(answer.usage)
    return texts, usages


@pytest.mark.vcr
@pytest.mark.parametrize("surface", SURFACES)
def test_conversation(ask: Ask) -> None:
    """Every profile tells the same story for the same tokens."""
    texts, usages = converse(ask)
    assert texts == ["Seven, I'd say.", "Eleven follows."]
    assert [usage.total_tokens for usage in usages] == [
        (usage.input_tokens or 0) + (usage.output_tokens or 0) for usage in usages
    ]


def test_the_same_conversation_costs_the_same_anywhere() -> None:
    """Equal text and equal `Usage` from OpenAI's cassette and from Azure's."""
    told = [replayed(surface) for surface in SURFACES]
    assert told[1:] == told[:1] * (len(SURFACES) - 1)


def replayed(surface: str) -> Told:
    """Replay the conversation with plain vcrpy, which can load any cassette."""
    vcr: Any = importlib.import_module("vcr")  # It has no types.
    recorder = vcr.VCR(record_mode="none", match_on=("method", "path", "body"))
    texts: list[str] = []
    usages: list[Usage] = []
    messages: list[Any] = []
    with recorder.use_cassette(str(cassette_of(surface))):
        service = Service(address="https://example.openai.azure.com")
        if surface == "openai":
            service = Service(address="https://api.openai.com/v1")
        with Client(make_profile(surface, service)) as client:
            for turn in TURNS:
                messages.append({"role": "user", "content": turn})
                with client.stream(model=MODEL, messages=messages, temperature=0) as stream:
                    texts.append(stream.text())
                messages.append({"role": "assistant", "content": texts[-1]})
                usages.append(stream.usage)
    return texts, usages


def cassette_of(surface: str) -> Path:
    """Where the conversation was recorded."""
    return CASSETTES / surface / "conversation.yaml"
