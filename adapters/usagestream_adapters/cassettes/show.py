"""Printing a cassette for people: what was asked, what came back, what it used."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from usagestream_core.adapter import Decoder, Head, Target
from usagestream_core.chunk import Chunk
from usagestream_core.streams.meter import Call, Meter
from usagestream_core.usage import Usage

from ..wire.chat import ChatDecoder
from ..wire.responses import ResponsesDecoder
from .document import Interaction, read_cassette
from .scrub import scrub_body
from .secrets import Secrets

__all__ = ["show"]

_NOWHERE: Final = Call(provider="", profile=None, target=Target(endpoint=""), model="")
_STAMP: Final = ("recorded_with", "recorded_against", "recorded_on")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What a terminal obeys, tab and line end aside, and what turns the direction of a line."""


def show(path: Path) -> Iterator[str]:
    """Give the lines that show a cassette; what controls a terminal is shown, and secrets are not.

    Raises `CassetteError` for what is none.
    """
    secrets = Secrets(os.environ)
    for line in _lines(path, secrets):
        yield _CONTROL.sub(_escaped, secrets.scrub(line))


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


def _lines(path: Path, secrets: Secrets) -> Iterator[str]:
    document, interactions = read_cassette(path)
    for name in _STAMP:
        if name in document:
            yield f"{name}: {document[name]}"
    for number, each in enumerate(interactions, 1):
        yield ""
        yield f"{number}. {each.request.method} {each.request.uri}"
        yield from _indented(_readable(each.request.body_bytes or b""))
        yield ""
        yield from _answer(each, secrets)
        yield from _timed(each.timing)


def _answer(each: Interaction, secrets: Secrets) -> Iterator[str]:
    declared = dict(each.headers).get("content-type", "a body of undeclared type")
    yield f"   {each.status} {declared}"
    if "event-stream" in declared:
        head = Head(status=each.status, content_type=declared)
        path = each.request.uri.partition("?")[0]
        kind = ResponsesDecoder if path.endswith("/responses") else ChatDecoder
        body, _ = scrub_body(each.body, secrets, keys_in_pieces=True)
        yield from _stream(body, head, kind(head))
    else:
        yield from _indented(_readable(each.body))


def _timed(timing: dict[str, Any] | None) -> Iterator[str]:
    """What is kept beside a body, if anything is."""
    match timing:
        case {"reads": [[first, _], *more], "end": end, "ended": ended}:
            yield f"   {1 + len(more)} reads in {end} s, the first after {first} s"
            yield f"   ended: {ended}"
        case {"reads": [], "end": end, "ended": ended}:
            yield f"   nothing was read in {end} s"
            yield f"   ended: {ended}"
        case _:
            pass


def _stream(body: bytes, head: Head, decoder: Decoder) -> Iterator[str]:
    meter = Meter(_NOWHERE)
    meter.start(0.0, datetime.fromtimestamp(0, UTC))
    meter.opened(head)
    chunks = [*meter.take(decoder.feed(body), 0.0), *meter.close(decoder.close(), 0.0)]
    for number, chunk in enumerate(chunks, 1):
        yield f"   frame {number}: {_described(chunk)}"
    yield f"   usage: {_counts(meter.usage)}"
    if meter.failure is not None:
        yield f"   ended badly: {meter.failure}"


def _described(chunk: Chunk) -> str:
    parts = [f"choice {chunk.index}"] if chunk.index else []
    parts += [f"text {chunk.text!r}"] if chunk.text else []
    parts += [f"refusal {chunk.refusal!r}"] if chunk.refusal else []
    parts += [f"reasoning {chunk.reasoning!r}"] if chunk.reasoning else []
    for call in chunk.tool_calls:
        parts.append(f"tool call {call.index} {call.name or ''}({call.arguments!r})")
    parts += [f"finish {chunk.finish_reason}"] if chunk.finish_reason else []
    parts += [f"after {len(chunk.annotations)} of no choice"] if chunk.annotations else []
    parts += ["usage"] if chunk.usage is not None else []
    return ", ".join(parts) or "nothing to read"


def _counts(usage: Usage) -> str:
    counts = usage.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return ", ".join(f"{name} {value}" for name, value in counts.items()) or "not reported"


def _readable(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")


def _indented(text: str) -> Iterator[str]:
    return (f"   {line}" for line in text.split("\n") if line)
