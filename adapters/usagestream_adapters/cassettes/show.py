"""Printing a cassette for people: what was asked, what came back, what it used."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from usagestream_core.adapter import Decoder, Head, Target
from usagestream_core.chunk import Chunk
from usagestream_core.streams.meter import Call, Meter
from usagestream_core.usage import Usage

from ..wire.chat import ChatDecoder
from ..wire.responses import ResponsesDecoder
from .vcr import deserialize, json_format, yaml_format

__all__ = ["show"]

_NOWHERE: Final = Call(provider="", profile=None, target=Target(endpoint=""), model="")
_STAMP: Final = ("recorded_with", "recorded_against", "recorded_on")


def show(path: Path) -> Iterator[str]:
    """Give the lines that show a cassette. Raises `ValueError` for what is none."""
    text = path.read_text("utf-8")
    serializer = json_format if path.suffix == ".json" else yaml_format
    try:
        document: Any = serializer.deserialize(text)
        requests, responses, *_ = deserialize(text, serializer)
    except Exception as exc:  # A file of any other kind fails in any other way.
        raise ValueError(f"{path} is not a cassette of vcrpy: {exc}") from exc
    for name in _STAMP:
        if name in document:
            yield f"{name}: {document[name]}"
    recorded = zip(requests, responses, document["interactions"], strict=True)
    for number, (request, response, interaction) in enumerate(recorded, 1):
        yield ""
        yield f"{number}. {request.method} {request.uri}"
        yield from _indented(_readable(request.body_bytes or b""))
        yield ""
        yield from _answer(response, urlsplit(str(request.uri)).path)
        yield from _timed(interaction.get("timing"))


def _answer(response: dict[str, Any], path: str) -> Iterator[str]:
    headers = {name.lower(): values for name, values in response["headers"].items()}
    declared = headers.get("content-type", ["a body of undeclared type"])[0]
    yield f"   {response['status']['code']} {declared}"
    body: bytes = response["body"]["string"] or b""
    if "event-stream" in declared:
        head = Head(status=response["status"]["code"], content_type=declared)
        kind = ResponsesDecoder if path.endswith("/responses") else ChatDecoder
        yield from _stream(body, head, kind(head))
    else:
        yield from _indented(_readable(body))


def _timed(timing: dict[str, Any] | None) -> Iterator[str]:
    """What is kept beside a body, if anything is."""
    if timing:
        reads, end = timing["reads"], timing["end"]
        first = reads[0][0] if reads else end
        yield f"   {len(reads)} reads in {end:g} s, the first after {first:g} s"
        yield f"   ended: {timing['ended']}"


def _stream(body: bytes, head: Head, decoder: Decoder) -> Iterator[str]:
    meter = Meter(_NOWHERE)
    meter.start(0.0, datetime.fromtimestamp(0, UTC))
    meter.opened(head, decoder)
    chunks = [*meter.feed(body, 0.0), *meter.close(0.0)]
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
    except ValueError:
        return body.decode("utf-8", "replace")


def _indented(text: str) -> Iterator[str]:
    return (f"   {line}" for line in text.split("\n") if line)
