"""`usagestream check`: whether a profile works, line by line."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from .screen import lay_out, say, say_json

if TYPE_CHECKING:
    from usagestream import UsageRecord

__all__ = ["check"]

QUESTION = "What's 1+1? Answer in one word."


@dataclasses.dataclass(frozen=True)
class Line:
    """One thing that was looked at."""

    what: str
    ok: bool
    says: str


@click.command(short_help="Say whether a profile works.")
@click.argument("profile", required=False)
@click.option("--model", default="gpt-4o-mini", show_default=True, help="Model to ask for.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead.")
def check(profile: str | None, model: str, as_json: bool) -> None:
    """Say whether PROFILE works: its configuration, credential, one tiny stream, usage, cost.

    Sends one short question: a few tokens, which are charged for. Without PROFILE, checks the one
    that a program in this folder would use. Exits with 1 if something does not work.
    """
    lines = list(_lines(profile, model))
    ok = all(line.ok for line in lines)
    if as_json:
        shown = [dataclasses.asdict(line) for line in lines]
        say_json(json.dumps({"ok": ok, "checks": shown}, indent=2))
    else:
        say(lay_out([("ok  " if line.ok else "FAIL", line.what, line.says) for line in lines]))
    raise SystemExit(0 if ok else 1)


def _lines(profile: str | None, model: str) -> Iterator[Line]:
    """Look at one thing after the other, up to the first that fails."""
    from usagestream import AuthenticationError, Client, ConfigError, UsageStreamError
    from usagestream_core.profiles.resolve import resolve

    try:
        found = resolve(profile)
        client = Client(found.profile, token_counter=None)
    except ConfigError as exc:
        yield Line("configuration", ok=False, says=str(exc))
        return
    with client:
        try:
            stream = client.stream(model=model, messages=[{"role": "user", "content": QUESTION}])
        except ConfigError as exc:
            yield Line("configuration", ok=False, says=str(exc))
            return
        yield Line(
            "configuration", ok=True, says=f"{repr(client).strip('<>')}, from {found.origin}"
        )
        try:
            stream.drain(timeout=60)
        except AuthenticationError as exc:
            yield Line("credential", ok=False, says=str(exc))
            return
        except UsageStreamError as exc:
            yield Line("stream", ok=False, says=str(exc))
            return
    yield from _answered(stream.record)


def _answered(record: UsageRecord) -> Iterator[Line]:
    yield Line("credential", ok=True, says="accepted")
    deployment = f", deployment {record.deployment}" if record.deployment else ""
    where = f"{record.endpoint}{deployment}"
    first = record.time_to_first_chunk or 0.0
    who = record.response_model or "a model that does not say its name"
    yield Line(
        "stream",
        ok=record.outcome == "completed",
        says=f"{record.outcome}, answered by {who} at {where}, first chunk after {first:.2f} s",
    )
    asked = {
        "asked": "asked for",
        "refused": "refused by the server, so the request was sent again without it",
        "not_asked": "not asked for: the profile says never, or its api version is known to refuse "
        "(api_version 'v1', or 2024-09-01-preview and later, reports it)",
    }
    usage = record.usage
    known = {"input": usage.input_tokens, "output": usage.output_tokens}
    counts = ", ".join(f"{name} {count}" for name, count in known.items() if count is not None)
    counts = f"{counts or 'no counts'} ({usage.source})"
    yield Line(
        "usage",
        ok=usage.source == "reported",
        says=f"{asked.get(str(record.usage_request), 'not said')}: {counts}; {_cost(record)}",
    )


def _cost(record: UsageRecord) -> str:
    """What it cost, by what; a missing price is no fault of the profile."""
    cost = record.cost
    if cost is None:
        return f"cost not known: {_why_unpriced()}"
    assumed = f", assuming {', '.join(cost.assumed)}" if cost.assumed else ""
    return f"cost {cost} by {cost.price.source}{assumed}"


def _why_unpriced() -> str:
    from ..prices import MISSING, installed_pricer

    return MISSING if installed_pricer() is None else "no price of this model, or no count of it"
