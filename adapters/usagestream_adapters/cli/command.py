"""The command `usagestream`. Imports what a command needs when it runs, so that help is quick."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from .cassettes import cassettes
from .check import check
from .prices import prices
from .profiles import profiles
from .reprice import reprice
from .serving import serve_until_interrupted

if TYPE_CHECKING:
    from rich.console import Console

    from usagestream import Client, Profile, Usage, UsageRecord, UsageStream


__all__ = ["main"]

DEMO_QUESTION = "What's 1+1? Answer in one word."
DEMO_DEPLOYMENT = "chat-mini-demo"
DEFAULT_MODEL = "gpt-4o-mini"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="usagestream")
def main() -> None:
    """Stream chat completions from OpenAI and Azure OpenAI; know what each used and cost."""


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print the two records as JSON instead.")
def demo(as_json: bool) -> None:
    """Ask one question through OpenAI and Azure OpenAI, without a key and without a network.

    Both are played by a local server over real HTTP. Exits with 1 if the two usages differ.
    """
    from usagestream import Client

    from ..emulator import Emulator

    console = _console()
    records: dict[str, UsageRecord] = {}
    if not as_json:
        console.print(f"Question: {DEMO_QUESTION}")
    with Emulator() as server:
        for title, profile in demo_profiles(server.openai_base_url, server.azure_endpoint).items():
            with Client(profile) as client, _ask(client, DEMO_QUESTION, DEFAULT_MODEL) as stream:
                if as_json:
                    stream.drain()
                else:
                    _show_chunks(console, title, stream)
            records[title] = _record_of(stream)
    usages = {title: record.usage for title, record in records.items()}
    agree = len(set(usages.values())) == 1
    if as_json:
        both = [record.model_dump(mode="json") for record in records.values()]
        click.echo(json.dumps({"agree": agree, "records": both}, indent=2))
    else:
        _show_side_by_side(console, records)
        style, verdict = ("green", "agree") if agree else ("red", "DIFFER")
        console.print(f"\nThe two usages [bold {style}]{verdict}[/].")
    raise SystemExit(0 if agree else 1)


@main.command()
@click.argument("question")
@click.option("--provider", help="openai or azure, as the environment configures it.")
@click.option("--profile", help="Name of a profile.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Model to ask for.")
@click.option("--json", "as_json", is_flag=True, help="Print the record instead of the answer.")
def chat(
    question: str, provider: str | None, profile: str | None, model: str, as_json: bool
) -> None:
    """Ask a question for real: the answer goes to standard output, its cost to standard error.

    Reads the variables that the openai SDK reads: OPENAI_API_KEY, or AZURE_OPENAI_ENDPOINT and
    AZURE_OPENAI_API_KEY, with OPENAI_API_VERSION for a dated api version.
    """
    from usagestream import Client, ConfigError, UsageStreamError

    if provider and profile:
        raise click.UsageError("Give --provider or --profile, not both.")
    try:
        client = Client(profile or provider)
    except ConfigError as exc:
        raise click.UsageError(f"{exc}\nTo see it work without any: usagestream demo") from exc
    with client:
        stream = _ask(client, question, model)
        failure: UsageStreamError | None = None
        try:
            _print_answer(stream, silent=as_json)
        except UsageStreamError as exc:
            failure = exc
    record = _record_of(stream)
    if as_json:
        click.echo(record.model_dump_json(indent=2))
    else:
        _console(stderr=True).print(_summary(record), style="dim")
    if failure is not None:
        raise click.ClickException(str(failure))


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8765, show_default=True, type=click.IntRange(0, 65535))
def emulate(host: str, port: int) -> None:
    """Play OpenAI and Azure OpenAI on a local port until interrupted.

    Any key is accepted, except one that begins with "wrong". Counting the tokens of questions other
    than the demo's takes a tokenizer: pip install "usagestream[estimate]".
    """
    from ..emulator import Emulator
    from ..token_counter import installed_counter

    if installed_counter() is None:
        click.echo(
            "There is no tokenizer here, so that only the demo's question has an answer. For any: "
            'pip install "usagestream[estimate]"',
            err=True,
        )
    serve_until_interrupted(Emulator(host=host, port=port), host, port)


for command in (profiles, check, prices, reprice, cassettes):
    main.add_command(command)


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=True)


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


def _print_answer(stream: UsageStream, *, silent: bool) -> None:
    with stream:
        for chunk in stream:
            if not silent and chunk.index == 0:
                click.echo(chunk.text, nl=False)
    if not silent:
        click.echo()


def _show_chunks(console: Console, title: str, stream: UsageStream) -> None:
    console.print(f"\n[bold]{title}[/]")
    for number, chunk in enumerate(stream, 1):
        usage = "-" if chunk.usage is None else f"[bold]{_counts(chunk.usage)}[/]"
        finish = f"  finish {chunk.finish_reason}" if chunk.finish_reason else ""
        console.print(f"  chunk {number}  text {chunk.text!r:<6} usage {usage}{finish}")


def _show_side_by_side(console: Console, records: dict[str, UsageRecord]) -> None:
    from rich.table import Table

    from usagestream_core.usage import COUNT_FIELDS

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    for title in records:
        table.add_column(title, justify="right")
    for name in ("source", *COUNT_FIELDS):
        values = [getattr(record.usage, name) for record in records.values()]
        if any(value is not None for value in values):
            table.add_row(name, *("-" if value is None else str(value) for value in values))
    costs = [record.cost for record in records.values()]
    if any(cost is not None for cost in costs):
        table.add_row("cost", *("-" if cost is None else str(cost) for cost in costs))
    console.print()
    console.print(table)


def _counts(usage: Usage) -> str:
    names = ("input", "output", "total")
    counts = [(name, getattr(usage, f"{name}_tokens")) for name in names]
    known = ", ".join(f"{name} {count}" for name, count in counts if count is not None)
    return f"{known or 'no counts'} ({usage.source})"


def _summary(record: UsageRecord) -> str:
    who = f"{record.provider} {record.response_model or record.model}"
    cost = "no price known" if record.cost is None else str(record.cost)
    return f"{who}: {_counts(record.usage)}, {record.outcome}, {record.duration:.2f} s, {cost}"
