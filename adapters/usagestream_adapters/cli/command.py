"""The command `usagestream`. Imports what a command needs when it runs, so that help is quick."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import click

from .cassettes import cassettes
from .chat import DEFAULT_MODEL, chat
from .check import check
from .emulate import emulate
from .endings import Commands
from .figures import counts
from .ledger import ledger
from .prices import prices
from .profiles import profiles
from .report import report
from .reprice import reprice
from .screen import console, say_json, visible
from .trust import trust

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from usagestream import Client, Profile, UsageRecord, UsageStream

__all__ = ["main"]

DEMO_QUESTION = "What's 1+1? Answer in one word."
DEMO_DEPLOYMENT = "chat-mini-demo"

_WIDE: Final = 72
"""Columns under which names of counts are shortened."""


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="usagestream")
def main() -> None:
    """Stream chat completions from OpenAI and Azure OpenAI; know what each used and cost."""


@main.command(short_help="See it work, without a key or a network.")
@click.option("--json", "as_json", is_flag=True, help="Print the two records as JSON instead.")
def demo(as_json: bool) -> None:
    """Ask one question through OpenAI and Azure OpenAI, without a key and without a network.

    Both are played by a local server over real HTTP. Exits with 1 if the two usages differ.
    """
    from usagestream import Client

    from ..emulator import Emulator

    screen = console()
    records: dict[str, UsageRecord] = {}
    if not as_json:
        screen.print(f"Question: {DEMO_QUESTION}")
    with Emulator() as server:
        for title, profile in demo_profiles(server.openai_base_url, server.azure_endpoint).items():
            with Client(profile) as client, _ask(client, DEMO_QUESTION, DEFAULT_MODEL) as stream:
                if as_json:
                    stream.drain()
                else:
                    _show_chunks(screen, title, stream)
            records[title] = _record_of(stream)
    usages = {title: record.usage for title, record in records.items()}
    agree = len(set(usages.values())) == 1
    if as_json:
        both = [record.model_dump(mode="json") for record in records.values()]
        say_json(json.dumps({"agree": agree, "records": both}, indent=2))
    else:
        _show_side_by_side(screen, records)
        style, verdict = ("green", "agree") if agree else ("red", "DIFFER")
        screen.print(_styled("\nThe two usages ", (verdict, f"bold {style}"), "."))
    raise SystemExit(0 if agree else 1)


for command in (chat, emulate, profiles, trust, check, prices, report, reprice, ledger, cassettes):
    main.add_command(command)


def demo_profiles(openai_base_url: str, azure_endpoint: str) -> dict[str, Profile]:
    from ..azure import AzureProfile
    from ..openai import OpenAIProfile

    key: Any = "demo-key"
    return {
        "OpenAI": OpenAIProfile(name="demo-openai", api_key=key, base_url=openai_base_url),
        "Azure OpenAI": AzureProfile(
            name="demo-azure",
            api_key=key,
            endpoint=azure_endpoint,
            api_version="2024-10-21",
            deployments={DEFAULT_MODEL: DEMO_DEPLOYMENT},
        ),
    }


def _ask(client: Client, question: str, model: str) -> UsageStream:
    return client.stream(model=model, messages=[{"role": "user", "content": question}])


def _record_of(stream: UsageStream) -> UsageRecord:
    return stream.record


def _styled(*parts: str | tuple[str, str]) -> Text:
    """Text whose parts may have a style; what is in brackets is text all the same."""
    from rich.text import Text

    return Text.assemble(*parts)


def _show_chunks(screen: Console, title: str, stream: UsageStream) -> None:
    screen.print()
    screen.print(title, style="bold")
    for number, chunk in enumerate(stream, 1):
        usage = "-" if chunk.usage is None else (counts(chunk.usage), "bold")
        finish = f"  finish {chunk.finish_reason}" if chunk.finish_reason else ""
        before = f"  chunk {number}  text {chunk.text!r:<6} usage "
        line = _styled(visible(before), usage, visible(finish))
        screen.print(line, soft_wrap=not screen.is_terminal)


def _show_side_by_side(screen: Console, records: dict[str, UsageRecord]) -> None:
    from rich.table import Table

    from usagestream_core.usage import COUNT_FIELDS

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    for title in records:
        table.add_column(title, justify="right")
    for name in ("source", *COUNT_FIELDS):
        values = [getattr(record.usage, name) for record in records.values()]
        if any(value is not None for value in values):
            name = name if screen.width >= _WIDE else name.removesuffix("_tokens")
            table.add_row(name, *("-" if value is None else str(value) for value in values))
    costs = [record.cost for record in records.values()]
    if any(cost is not None for cost in costs):
        table.add_row("cost", *("-" if cost is None else str(cost) for cost in costs))
    screen.print()
    screen.print(table)
