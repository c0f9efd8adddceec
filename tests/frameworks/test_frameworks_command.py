"""`python -m benchmarks.frameworks`: that it would tell, and what it runs of a page."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmarks.framework_sides import Answer, Clients, Run, compared
from benchmarks.frameworks import examples, row, run_page

from usagestream_adapters.emulator import Scenario

TEXT = Scenario(text="It is sunny in Paris, and 24 degrees warm.")
MESSAGES: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]


def _is_tracked(clients: Clients) -> bool:
    return hasattr(clients.sync, "with_tags")


async def _plain(clients: Clients) -> Answer:
    """What a framework that does nothing would ask."""
    made = clients.sync.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    return made.choices[0].message.content, made.usage.total_tokens if made.usage else None


async def _other_answer(clients: Clients) -> Answer:
    _, said = await _plain(clients)
    return _is_tracked(clients), said


async def _other_request(clients: Clients) -> Answer:
    client = clients.asynchronous
    model = "gpt-4o-mini" if _is_tracked(clients) else "gpt-4o"
    made = await client.chat.completions.create(model=model, messages=MESSAGES)
    return made.choices[0].message.content, None


async def _other_tokens(clients: Clients) -> Answer:
    return (await _plain(clients))[0], 1


async def _left(clients: Clients) -> Answer:
    with clients.sync.chat.completions.create(
        model="gpt-4o", messages=MESSAGES, stream=True
    ) as stream:
        next(stream)
    return None, None


async def _broken(clients: Clients) -> Answer:
    raise RuntimeError("no such model")


@pytest.mark.parametrize(
    ("ask", "script", "wrong"),
    [
        (_plain, (TEXT,), []),
        (_other_answer, (TEXT,), ["the answer: False bare, True tracked"]),
        (_other_request, (TEXT,), ["the requests"]),
        (_other_tokens, (TEXT,), ["tokens: 1 as it says, 27 in the records"]),
        (_plain, (TEXT, TEXT), ["1 records of 2 requests"]),
        (_left, (TEXT,), ["a record: closed, usage estimated"]),
        (_broken, (), ["RuntimeError: no such model"]),
    ],
)
def test_what_differs_is_named(ask: Any, script: Any, wrong: list[str]) -> None:
    """Of each run: the answer, what was sent, one record a request, and their tokens."""
    assert wrong == asyncio.run(compared(Run("openai", "chat", script, ask)))["wrong"]


def test_a_run_in_the_table() -> None:
    """A line has what was run, what the records say, and what differs."""
    run: dict[str, Any] = {
        "package": "agents",
        "version": "1",
        "way": "chat",
        "records": 2,
        "tokens": 7,
        "says": None,
        "wrong": [],
    }
    assert row(run) == "| agents 1 | chat | 2 | 7 | does not say | same |"
    assert row({**run, "says": 7, "wrong": ["a", "b"]}).endswith("| 7 | a; b |")


def test_a_framework_that_is_missing() -> None:
    """What cannot be run is said, and is no empty table."""
    run = Run("no-such-framework", "chat", (), _broken)
    assert asyncio.run(compared(run))["version"] == "missing"


@pytest.mark.slow
def test_the_examples_of_a_page(tmp_path: Path) -> None:
    """Those that import a framework are run, with the emulator as the service."""
    out = tmp_path / "out"
    page = (
        "```python\nimport sys\nsys.exit(1)\n```\n```console\nimport agents\n```\n"
        "```python\nimport os\nfrom pathlib import Path\nif not os:\n    import agents\n"
        f"Path({str(out)!r}).write_text(os.environ['OPENAI_BASE_URL'])\n```\n"
    )
    assert len(examples(page)) == 1
    run_page(sys.executable, page)
    assert out.read_text().startswith("http://127.0.0.1:")
