"""What a record says, as attributes. Reads records alone, and knows nothing of OpenTelemetry."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from usagestream_core.record import Outcome
from usagestream_core.usage import UsageSource

if TYPE_CHECKING:
    from usagestream_core.record import UsageRecord

__all__ = [
    "FAILURES",
    "Attributes",
    "Money",
    "by_modality",
    "call_attributes",
    "error_type",
    "money",
    "own_attributes",
    "span_attributes",
    "span_name",
    "usage_attributes",
]

Attributes: TypeAlias = "dict[str, str | int | float | bool | tuple[str, ...]]"

_PROVIDERS: Final = {"azure": "azure.ai.openai"}
"""What the conventions call a provider, where they do not call it as we do."""
_APIS: Final = {"chat": "chat_completions", "responses": "responses"}
FAILURES: Final = (Outcome.TRUNCATED, Outcome.FAILED, Outcome.REJECTED, Outcome.ABANDONED)
"""What is an error. Leaving and cancelling are the caller's own will, and are none."""
_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_HTTPS: Final = 443
_MODALITIES: Final = {
    "input_tokens": (
        ("text", "input_text_tokens"),
        ("image", "input_image_tokens"),
        ("audio", "input_audio_tokens"),
    ),
    "output_tokens": (("text", "output_text_tokens"), ("audio", "output_audio_tokens")),
}
_SPAN_COUNTS: Final = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_write.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "input_text_tokens": "gen_ai.usage.text.input_tokens",
    "input_image_tokens": "gen_ai.usage.image.input_tokens",
    "input_audio_tokens": "gen_ai.usage.audio.input_tokens",
    "output_text_tokens": "gen_ai.usage.text.output_tokens",
    "output_audio_tokens": "gen_ai.usage.audio.output_tokens",
}
_OLD_CACHE_WRITE: Final = "gen_ai.usage.cache_creation.input_tokens"
_IDS: Final = ("x-request-id", "apim-request-id")


@dataclass(frozen=True, slots=True)
class Money:
    """What a stream cost, as far as a metric can hold it."""

    total: float
    currency: str
    basis: str
    """`reported` or `estimated`, as the usage that it was worked out from."""


def span_name(record: UsageRecord) -> str:
    """The operation, and what was asked for."""
    return f"chat {record.model}" if record.model else "chat"


def call_attributes(record: UsageRecord, tags: Iterable[str] = ()) -> Attributes:
    """Who was asked for what, with the tags that are named: what every metric carries."""
    found: Attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _PROVIDERS.get(record.provider, record.provider),
    }
    if record.model:
        found["gen_ai.request.model"] = record.model
    if record.response_model is not None:
        found["gen_ai.response.model"] = record.response_model
    if record.endpoint:
        found["server.address"], found["server.port"] = _server(record.endpoint)
    if record.service_tier is not None:
        found["openai.response.service_tier"] = record.service_tier
    for name in tags:
        if name in record.tags:
            found[f"usagestream.tag.{name}"] = record.tags[name]
    return found


def error_type(record: UsageRecord) -> str | None:
    """What kind of error ended the stream; `None` where it ended well, or as the caller wished.

    The provider's own code where it looks like one, else the name of the exception; `_OTHER` for a
    stream that was dropped.
    """
    if record.outcome not in FAILURES:
        return None
    error = record.error
    if error is None:
        return "_OTHER"
    return error.code if error.code and _CODE.fullmatch(error.code) else error.type


def span_attributes(record: UsageRecord, *, latest: bool) -> Attributes:
    """What a span says beyond `call_attributes`. With `latest`, no name that was replaced."""
    found: Attributes = {"openai.api.type": _APIS[record.api]}
    if record.streamed is not None:
        found["gen_ai.request.stream"] = record.streamed
    if record.response_id is not None:
        found["gen_ai.response.id"] = record.response_id
    if record.finish_reasons:
        found["gen_ai.response.finish_reasons"] = tuple(
            reason for _, reason in sorted(record.finish_reasons.items())
        )
    if record.streamed and record.time_to_first_chunk is not None:
        found["gen_ai.response.time_to_first_chunk"] = record.time_to_first_chunk
    error = error_type(record)
    if error is not None:
        found["error.type"] = error
    for name in _IDS:
        if name in record.request_ids:
            found[f"http.response.header.{name}"] = (record.request_ids[name],)
    return {**found, **usage_attributes(record, latest=latest), **own_attributes(record)}


def usage_attributes(record: UsageRecord, *, latest: bool) -> Attributes:
    """The counts that the provider reported; what was estimated is not among them."""
    if record.usage.source is not UsageSource.REPORTED:
        return {}
    found: Attributes = {}
    for field, name in _SPAN_COUNTS.items():
        count = getattr(record.usage, field)
        if count is not None:
            found[name] = count
            if field == "cache_write_tokens" and not latest:
                found[_OLD_CACHE_WRITE] = count
    return found


def own_attributes(record: UsageRecord) -> Attributes:
    """What only we know of a stream, under names of our own."""
    found: Attributes = {
        "usagestream.record.id": record.id,
        "usagestream.outcome": record.outcome.value,
        "usagestream.usage.source": record.usage.source.value,
        "usagestream.chunks": record.chunk_count,
    }
    if record.usage.source is UsageSource.ESTIMATED:
        found |= {
            f"usagestream.usage.{name}": count
            for name in ("input_tokens", "output_tokens")
            if (count := getattr(record.usage, name)) is not None
        }
        found["usagestream.usage.lower_bound"] = record.usage.lower_bound
    if record.deployment is not None:
        found["usagestream.deployment"] = record.deployment
    if record.reason is not None:
        found["usagestream.reason"] = record.reason
    if record.reopenings:
        found["usagestream.reopenings"] = record.reopenings
    cost = money(record)
    if cost is not None:
        found["usagestream.cost"] = cost.total
        found["usagestream.cost.currency"] = cost.currency
        found["usagestream.cost.basis"] = cost.basis
    return found


def by_modality(usage: Any, field: str) -> list[tuple[str, int]]:
    """Split a count by what was read or written, as far as the provider says; adds up to it.

    What it does not say is `unknown`, and never taken for text. So is everything where the parts
    come to more than the whole.
    """
    whole: int = getattr(usage, field)
    parts: list[tuple[str, int]] = []
    rest = whole
    for kind, name in _MODALITIES.get(field, ()):
        count = getattr(usage, name)
        if count is not None and count > 0:
            parts.append((kind, count))
            rest -= count
    if rest < 0:
        return [("unknown", whole)]
    if rest or not parts:
        parts.append(("unknown", rest))
    return parts


def money(record: UsageRecord) -> Money | None:
    """What the stream cost, in its currency; `None` where that is not known."""
    cost = record.cost
    if cost is None:
        return None
    return Money(float(cost.total), cost.currency, str(cost.basis))


def _server(endpoint: str) -> tuple[str, int]:
    """Host and port; that of https where none is named, as both services have it."""
    host, colon, port = endpoint.rpartition(":")
    if colon and port.isdecimal() and (":" not in host or host.endswith("]")):
        return host.strip("[]"), int(port)
    return endpoint.strip("[]"), _HTTPS
