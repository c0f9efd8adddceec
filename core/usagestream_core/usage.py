"""The normalised token counts of one stream."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import ConfigDict

from ._described import Described

__all__ = ["Usage", "UsageSource"]


class UsageSource(StrEnum):
    """Where the counts of a `Usage` come from."""

    REPORTED = "reported"
    """The provider sent them; they are passed on as they are."""
    ESTIMATED = "estimated"
    """Nobody reported them; they were counted from what could be seen."""
    UNKNOWN = "unknown"
    """Nobody reported them and nothing was counted."""


class Usage(Described, frozen=True):
    """Token counts, named alike for every provider. `None` means not reported, and is never 0.

    How they nest: `input_tokens` holds everything the model read and `output_tokens` everything
    it wrote. The details are *inside* those two, never beside them, so adding a detail to its
    parent counts it twice::

        input_tokens    cache_read, cache_write (cache_write_30m, cache_write_12h),
                        input_audio, input_image, input_text
        output_tokens   reasoning, output_audio, output_text,
                        accepted_prediction, rejected_prediction

    Some servers break these rules: xAI and Grok on Azure leave reasoning out of the output count
    (and in the total), and have reported more cached tokens than input tokens. Their figures are
    kept; `anomalies` names what does not add up.
    """

    model_config = ConfigDict(extra="forbid")

    input_tokens: int | None = None
    """Tokens the model read, cached ones included."""
    output_tokens: int | None = None
    """Tokens the model wrote, over all choices; hidden reasoning is included."""
    total_tokens: int | None = None
    """The provider's own total; normally input plus output."""

    cache_read_tokens: int | None = None
    """Input tokens served from the provider's prompt cache."""
    cache_write_tokens: int | None = None
    """Input tokens written to the provider's prompt cache."""
    cache_write_30m_tokens: int | None = None
    """Of `cache_write_tokens`, those that are kept for 30 minutes."""
    cache_write_12h_tokens: int | None = None
    """Of `cache_write_tokens`, those that are kept for 12 hours."""
    input_audio_tokens: int | None = None
    """Input tokens of sound."""
    input_image_tokens: int | None = None
    """Input tokens of pictures."""
    input_text_tokens: int | None = None
    """Input tokens of text."""

    reasoning_tokens: int | None = None
    """Output tokens spent on reasoning, seen by the caller or not."""
    output_audio_tokens: int | None = None
    """Output tokens of sound."""
    output_text_tokens: int | None = None
    """Output tokens of text."""
    accepted_prediction_tokens: int | None = None
    """Output tokens that a predicted output supplied."""
    rejected_prediction_tokens: int | None = None
    """Tokens of a predicted output that were not used, and are billed as output all the same."""

    source: UsageSource = UsageSource.UNKNOWN
    """`reported` by the provider, `estimated` from what could be seen, or `unknown`."""
    lower_bound: bool = False
    """True for an estimate that cannot see everything (hidden reasoning, images, audio)."""
    odd: tuple[str, ...] | None = None
    """What was reported and is no proper count, or cannot be true, as it was sent; `None` where all
    was in order. `anomalies` begins with it."""

    @property
    def prompt_tokens(self) -> int | None:
        """`input_tokens`, as chat completions name it."""
        return self.input_tokens

    @property
    def completion_tokens(self) -> int | None:
        """`output_tokens`, as chat completions name it."""
        return self.output_tokens

    def anomalies(self) -> tuple[str, ...]:
        """Name what was reported oddly, and every rule that these counts break.

        As `"output_tokens was sent as 14417.92"` and `"cache_read_tokens > input_tokens"`; a
        record's `anomalies` are those of its usage. Empty for counts that are in order. A count
        that was not reported breaks no rule.
        """
        found = [*(self.odd or ())]
        found += [f"{name} < 0" for name in COUNT_FIELDS if (getattr(self, name) or 0) < 0]
        for parent, details in (_DETAILS | _LIFETIMES).items():
            whole = getattr(self, parent)
            for name in details:
                part = getattr(self, name)
                if whole is not None and part is not None and part > whole:
                    found.append(f"{name} > {parent}")
        if (
            self.input_tokens is not None
            and self.output_tokens is not None
            and self.total_tokens is not None
            and self.total_tokens != self.input_tokens + self.output_tokens
        ):
            found.append("total_tokens != input_tokens + output_tokens")
        return tuple(found)


_DETAILS: Final = {
    "input_tokens": (
        "cache_read_tokens",
        "cache_write_tokens",
        "input_audio_tokens",
        "input_image_tokens",
        "input_text_tokens",
    ),
    "output_tokens": (
        "reasoning_tokens",
        "output_audio_tokens",
        "output_text_tokens",
        "accepted_prediction_tokens",
        "rejected_prediction_tokens",
    ),
}

_LIFETIMES: Final = {"cache_write_tokens": ("cache_write_30m_tokens", "cache_write_12h_tokens")}

COUNT_FIELDS: Final = (
    *_DETAILS,
    "total_tokens",
    *(n for names in (_DETAILS | _LIFETIMES).values() for n in names),
)
"""The names of `Usage` fields that hold a count, for those who fill one from a wire."""
