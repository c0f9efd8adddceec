"""What a stream has cost, in a few words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from usagestream import Usage, UsageRecord

__all__ = ["counts", "so_far", "summary"]


def counts(usage: Usage) -> str:
    """The three counts, as far as they are known, and where they come from."""
    names = ("input", "output", "total")
    each = [(name, getattr(usage, f"{name}_tokens")) for name in names]
    known = ", ".join(f"{name} {count}" for name, count in each if count is not None)
    return f"{known or 'no counts'} ({usage.source})"


def summary(record: UsageRecord) -> str:
    """A line that says who answered, for how many tokens, and how it ended."""
    who = f"{record.provider} {record.response_model or record.model}"
    cost = "no price known" if record.cost is None else str(record.cost)
    return f"{who}: {counts(record.usage)}, {record.outcome}, {record.duration:.2f} s, {cost}"


def so_far(usage: Usage, started: float, first: float | None, now: float) -> str:
    """A line about a stream that is read: tokens, seconds to the first, tokens a second.

    `started`, `first` and `now` are seconds of one clock; `first` is `None` before there is text.
    """
    if first is None:
        return f"waiting for {now - started:.1f} s"
    parts: list[str] = []
    if usage.output_tokens is not None:
        parts.append(f"{usage.output_tokens} tokens so far")
    parts.append(f"the first after {first - started:.2f} s")
    if usage.output_tokens is not None and now - first >= 1:
        parts.append(f"{usage.output_tokens / (now - first):.0f} a second")
    return ", ".join(parts)
