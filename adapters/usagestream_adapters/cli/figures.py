"""What a stream has used and cost, in a few words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal

    from usagestream import Cost, Usage, UsageRecord

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
    cost = _why_unpriced(record) if record.cost is None else str(record.cost)
    return f"{who}: {counts(record.usage)}, {record.outcome}, {record.duration:.2f} s, {cost}"


def _why_unpriced(record: UsageRecord) -> str:
    usage = record.usage
    if usage.input_tokens is not None or usage.output_tokens is not None:
        return "no price known"
    error = record.error
    if record.provider == "azure" and error is not None and error.type == "ContentFilterError":
        return "charged for, and by how much is not reported"  # WIRE §2.5
    return "no cost known"


def so_far(usage: Usage, cost: Cost | None, started: float, first: float | None, now: float) -> str:
    """A line about a stream that is read: tokens, money, seconds to the first, tokens a second.

    `started`, `first` and `now` are seconds of one clock; `first` is `None` before there is text.
    It fits into 60 columns. What is estimated has a `~`; money is rounded to two figures.
    """
    if first is None:
        return f"waiting for {now - started:.1f} s"
    about = "" if usage.source == "reported" else "~"
    known = [f"{about}{usage.output_tokens} tokens"] if usage.output_tokens else []
    if cost is not None:
        known.append(f"{about}{_rounded(cost.total)} {cost.currency}")
    parts = [f"{', '.join(known)} so far"] if known else []
    parts.append(f"first after {first - started:.2f} s")
    if usage.output_tokens and now - first >= 1:
        parts.append(f"{usage.output_tokens / (now - first):.0f}/s")
    return "; ".join(parts)


def _rounded(amount: Decimal) -> str:
    """An amount in two figures, and in full cents."""
    return f"{round(amount, max(2, 1 - amount.adjusted())):f}"
