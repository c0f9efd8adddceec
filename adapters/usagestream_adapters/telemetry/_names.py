"""The names that dashboards expect, and our own, with their units and buckets.

Those that begin with `gen_ai.` and `openai.` are of the semantic conventions for generative AI, in
the version that `SCHEMA_URL` names. They are written out here, since the package of constants marks
them as moved. Their status is "development": names may change, and this is where they do.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "CALL_INPUT",
    "CALL_OUTPUT",
    "COST",
    "DURATION",
    "FIRST_CHUNK",
    "OPT_IN",
    "OPT_IN_LATEST",
    "REOPENINGS",
    "SCHEMA_URL",
    "SECOND_BUCKETS",
    "STREAMS",
    "TOKENS",
    "TOKEN_BUCKETS",
    "TOKEN_USAGE",
    "USAGE_COUNTERS",
]

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/gen-ai/1.42.0"
OPT_IN: Final = "OTEL_SEMCONV_STABILITY_OPT_IN"
OPT_IN_LATEST: Final = "gen_ai_latest_experimental"

TOKEN_USAGE: Final = "gen_ai.client.token.usage"  # noqa: S105 - a metric
"""The histogram of before the counters, which released dashboards read."""
DURATION: Final = "gen_ai.client.operation.duration"
FIRST_CHUNK: Final = "gen_ai.client.operation.time_to_first_chunk"
CALL_INPUT: Final = "gen_ai.client.inference.operation.input_tokens"
CALL_OUTPUT: Final = "gen_ai.client.inference.operation.output_tokens"

USAGE_COUNTERS: Final = {
    "input_tokens": "gen_ai.client.inference.usage.input_tokens",
    "output_tokens": "gen_ai.client.inference.usage.output_tokens",
    "cache_read_tokens": "gen_ai.client.inference.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.client.inference.usage.cache_write.input_tokens",
    "reasoning_tokens": "gen_ai.client.inference.usage.reasoning.output_tokens",
}
"""The counter of each count of a `Usage` that has one."""

STREAMS: Final = "usagestream.client.streams"
TOKENS: Final = "usagestream.client.tokens"
COST: Final = "usagestream.client.cost"
REOPENINGS: Final = "usagestream.client.reopenings"

TOKEN_BUCKETS: Final = tuple(4**n for n in range(14))
SECOND_BUCKETS: Final = tuple(round(0.01 * 2**n, 2) for n in range(14))
