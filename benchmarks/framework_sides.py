"""One run on a bare client and on a tracked one, and what differs."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from openai import AsyncOpenAI, OpenAI

from usagestream import Emulator, UsageRecord, track
from usagestream_adapters.emulator import Scenario

__all__ = ["Answer", "Clients", "Run", "compared"]

_IDS = re.compile(r"\b(call|fc|msg|resp)_\w+")
"""What the emulator makes up anew for each answer, and frameworks send back."""


@dataclass
class Clients:
    """Both clients of one side, bare or tracked."""

    sync: OpenAI
    asynchronous: AsyncOpenAI


Answer = tuple[Any, int | None]
"""What a framework gives, and the tokens that it says it took; `None` where it does not say."""


@dataclass(frozen=True)
class Run:
    """One way to use one framework."""

    package: str
    way: str
    script: tuple[Scenario, ...]
    """How the emulator answers, request by request."""
    ask: Callable[[Clients], Awaitable[Answer]]


async def compared(run: Run) -> dict[str, Any]:
    """Run it bare and tracked, each with an emulator and clients of its own."""
    records: list[UsageRecord] = []
    wrong: list[str] = []
    said: int | None = None
    try:
        bare, said, asked = await _answer(run, None)
        tracked, _, asked_tracked = await _answer(run, records)
    except Exception as exc:  # noqa: BLE001 - one framework that breaks is not to hide the others
        wrong.append(f"{type(exc).__name__}: {exc}")
    else:
        if tracked != bare:
            wrong.append(f"the answer: {bare!r} bare, {tracked!r} tracked")
        if asked_tracked != asked:
            wrong.append("the requests")
    counted = sum(record.usage.total_tokens or 0 for record in records)
    if len(records) != len(run.script):
        wrong.append(f"{len(records)} records of {len(run.script)} requests")
    wrong += [
        f"a record: {record.outcome}, usage {record.usage.source}"
        for record in records
        if record.outcome != "completed" or record.usage.source != "reported"
    ]
    if said is not None and said != counted:
        wrong.append(f"tokens: {said} as it says, {counted} in the records")
    return {
        "package": run.package,
        "version": _version(run.package),
        "way": run.way,
        "records": len(records),
        "tokens": counted,
        "says": said,
        "wrong": wrong,
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


async def _answer(run: Run, records: list[UsageRecord] | None) -> tuple[Any, int | None, list[str]]:
    """What comes of a run, the tokens that the framework says it took, and what was asked."""
    with Emulator() as server:
        server.script(*run.script)
        at: dict[str, Any] = {"base_url": server.openai_base_url, "api_key": "any"}
        clients = Clients(OpenAI(**at), AsyncOpenAI(**at))
        if records is not None:
            sync = track(clients.sync, on_record=records.append)
            clients = Clients(sync, track(clients.asynchronous, on_record=records.append))
        try:
            answer, said = await run.ask(clients)
        finally:
            clients.sync.close()
            await clients.asynchronous.close()
        bodies = [{**request.body, "stream_options": None} for request in server.requests]
        return answer, said, [_IDS.sub(r"\1_", json.dumps(body)) for body in bodies]
