"""Ready scenarios, one for each awkward thing that the two services do."""

from __future__ import annotations

from typing import Any

from . import errors
from .scenario import Answer, Scenario, ToolCall

__all__ = [
    "async_filter",
    "broken_off",
    "cache_write",
    "cached",
    "content_filter_finish",
    "content_filter_finish_without_usage",
    "dropped",
    "error_mid_stream",
    "held_after_done",
    "length",
    "login_page",
    "moderation",
    "parallel_tool_calls",
    "plain",
    "prompt_blocked",
    "rate_limited",
    "reasoning",
    "refusal",
    "reset",
    "server_error",
    "stalled",
    "stream_options_refused",
    "streaming_unsupported",
    "tool_calls",
    "two_choices",
]

_WEATHER = ToolCall(name="get_weather", arguments='{"city":"Oslo","unit":"celsius"}')


def _usage(prompt: int, completion: int, **prompt_details: int) -> dict[str, Any]:
    """Return a usage of more prompt than was really sent: caches begin at about 1,000 tokens."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {**prompt_details, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


plain = Scenario(text="The emulator says hello.")
length = Scenario(text="This answer stops in the", finish_reason="length")
two_choices = Scenario(
    choices=(Answer(text="The first of two choices."), Answer(text="The second."))
)
tool_calls = Scenario(tool_calls=(_WEATHER,))
parallel_tool_calls = Scenario(
    tool_calls=(_WEATHER, ToolCall(name="get_weather", arguments='{"city":"Bergen"}'))
)
refusal = Scenario(refusal="The emulator would rather not.")
reasoning = Scenario(
    text="It took some thought.", model="gpt-5-mini-2025-08-07", reasoning_tokens=64
)
cached = Scenario(text="I have read this before.", usage=_usage(1_100, 7, cached_tokens=1_024))
cache_write = Scenario(
    text="I will remember this.",
    model="gpt-5.6-sol",
    usage=_usage(1_100, 6, cached_tokens=0, cache_write_tokens=1_097),
)
moderation = Scenario(text="This was looked at twice.", moderation=True)
async_filter = Scenario(text="This is filtered as it is sent.", async_filter=True)
content_filter_finish = Scenario(text="This goes too", finish_reason="content_filter")
# Whether Azure reports usage after such an ending is not known (WIRE §2.5): here is the other way.
content_filter_finish_without_usage = Scenario(
    text="This goes too", finish_reason="content_filter", omit_usage=True, async_filter=True
)

prompt_blocked = Scenario(error=errors.PROMPT_BLOCKED)
rate_limited = Scenario(error=errors.rate_limited())
server_error = Scenario(error=errors.SERVER_ERROR)
streaming_unsupported = Scenario(error=errors.STREAMING_UNSUPPORTED)
stream_options_refused = Scenario(stream_options_refused="unrecognized_argument")

broken_off = Scenario(text="This answer breaks off.", cut_after_frames=3)
dropped = Scenario(text="This answer breaks off.", cut_after_frames=3, cut="drop")
reset = Scenario(text="This answer breaks off.", cut_after_frames=3, cut="reset")
stalled = Scenario(text="This answer never ends.", cut_after_frames=3, cut="stall")
held_after_done = Scenario(text="All is said.", hold_after_done=True)
# How either service fails in the middle of a stream is not known (WIRE §1.5, §2.5): this shape was
# recorded from a compatible server (WIRE §5).
error_mid_stream = Scenario(
    text="This answer fails.",
    cut_after_frames=3,
    error_frame='event: error\ndata: {"error":{"message":"The emulator failed on purpose.",'
    '"type":"invalid_request_error","code":"tool_use_failed","status_code":400}}\n\n',
)
login_page = Scenario(body="<html><body>Sign in</body></html>", content_type="text/html")
