"""Costs worked out by hand from prices that providers published: the arithmetic is in each row.

`published` says at which rates (US dollars for a million tokens), by whom and as of when.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from usagestream import Outcome, Usage, UsageRecord, UsageSource

__all__ = ["CASES", "Case"]

NOW = "2026-11-27"
M = 1_000_000


@dataclass(frozen=True)
class Case:
    """One request, and what its provider charges for it."""

    name: str
    model: str
    counts: dict[str, int]
    dollars: str
    published: str
    provider: str = "openai"
    day: str = NOW
    more: dict[str, Any] = field(default_factory=dict[str, Any])
    """Other fields of the record."""
    assumed: tuple[str, ...] = ()
    """What the cost has to admit."""

    @property
    def expected(self) -> Decimal:
        """The cost."""
        return Decimal(self.dollars)

    def record(self) -> UsageRecord:
        """The record of such a request, answered by the model itself."""
        day = datetime.fromisoformat(self.day).replace(hour=12, tzinfo=UTC)
        usage = {"source": UsageSource.REPORTED, **self.counts}
        facts: dict[str, Any] = {"response_model": self.model, "model": self.model, **self.more}
        return UsageRecord(
            provider=self.provider,
            outcome=Outcome.COMPLETED,
            started_at=day,
            ended_at=day,
            usage=Usage.model_validate(usage),
            **facts,
        )


def case(
    name: str,
    answered: str,
    counts: dict[str, int],
    dollars: str,
    published: str,
    *assumed: str,
    day: str = NOW,
    **more: Any,
) -> Case:
    """A request to OpenAI."""
    return Case(name, answered, counts, dollars, published, "openai", day, more, assumed)


def azure(
    name: str,
    answered: str,
    counts: dict[str, int],
    dollars: str,
    published: str,
    *assumed: str,
    day: str = NOW,
    **more: Any,
) -> Case:
    """A request to Azure OpenAI."""
    return Case(name, answered, counts, dollars, published, "azure", day, more, assumed)


def of(read: int, written: int, **details: int) -> dict[str, int]:
    """Tokens read and written, and details of them: `cached=5` for `cache_read_tokens`."""
    names = {
        "cached": "cache_read_tokens",
        "stored": "cache_write_tokens",
        "stored_12h": "cache_write_12h_tokens",
        "heard": "input_audio_tokens",
        "seen": "input_image_tokens",
        "spoken": "output_audio_tokens",
        "reasoned": "reasoning_tokens",
        "rejected": "rejected_prediction_tokens",
    }
    more = {names[name]: count for name, count in details.items()}
    return {"input_tokens": read, "output_tokens": written, **more}


ASSUMED_OF_AZURE = ("openai_list", "global_deployment")

CASES: list[Case] = [
    # Text, at the standard rate. 2.50 + 10 and so on: a million each way.
    case("gpt-4o", "gpt-4o", of(M, M), "12.50", "2.50 in, 10 out; OpenAI, 2024-10"),
    case("gpt-4o, dated", "gpt-4o-2024-11-20", of(M, M), "12.50", "2.50, 10; OpenAI, 2024-11"),
    case("the first gpt-4o", "gpt-4o-2024-05-13", of(M, M), "20", "5, 15; OpenAI, 2024-05"),
    case("gpt-4o-mini", "gpt-4o-mini-2024-07-18", of(M, M), "0.75", "0.15, 0.60; OpenAI, 2024-07"),
    case("gpt-4.1-nano", "gpt-4.1-nano", of(M, M), "0.50", "0.10, 0.40; OpenAI, 2025-04"),
    case("gpt-5", "gpt-5-2025-08-07", of(M, M), "11.25", "1.25, 10; OpenAI, 2025-08"),
    case("gpt-5-nano", "gpt-5-nano-2025-08-07", of(M, M), "0.45", "0.05, 0.40; OpenAI, 2025-08"),
    case("gpt-5-pro", "gpt-5-pro", of(M, 100_000), "27", "15, 120; OpenAI, 2025-10"),
    case("gpt-5.1", "gpt-5.1-2025-11-13", of(100_000, 100_000), "1.125", "1.25, 10; OpenAI"),
    case("gpt-5.2", "gpt-5.2", of(100_000, 100_000), "1.575", "1.75, 14; OpenAI, 2025-12"),
    case("gpt-5.2-pro", "gpt-5.2-pro", of(100_000, 100_000), "18.90", "21, 168; OpenAI, 2025-12"),
    case("gpt-5.3-codex", "gpt-5.3-codex", of(M, M), "15.75", "1.75, 14; OpenAI, 2026-02"),
    case("gpt-5.4", "gpt-5.4-2026-03-05", of(200_000, 1000), "0.515", "2.50, 15; OpenAI, 2026-03"),
    case("gpt-5.4-mini", "gpt-5.4-mini-2026-03-17", of(100_000, 100_000), "0.525", "0.75, 4.50"),
    case("gpt-5.5", "gpt-5.5", of(100_000, 100_000), "3.50", "5, 30; OpenAI, 2026-04"),
    case("gpt-5.5-pro", "gpt-5.5-pro", of(100_000, 100_000), "21", "30, 180; OpenAI, 2026-04"),
    case("gpt-6-luna", "gpt-6-luna", of(100_000, 100_000), "0.06", "0.10, 0.50; OpenAI, 2026-11"),
    case("gpt-6-astra", "gpt-6-astra", of(M // 10, M // 10), "6", "10, 50; OpenAI, 2026-11"),
    case("gpt-6.1-sol", "gpt-6.1-sol", of(100_000, 100_000), "1.20", "2, 10; OpenAI, 2026-11"),
    case("gpt-6.1-terra", "gpt-6.1-terra", of(100_000, 100_000), "0.60", "1, 5; OpenAI, 2026-11"),
    case("o1", "o1-2024-12-17", of(M, M), "75", "15, 60; OpenAI, 2024-12"),
    case("o1-pro", "o1-pro", of(10_000, 1000), "2.10", "150, 600; OpenAI, 2025-03"),
    case("o3-mini", "o3-mini-2025-01-31", of(M, M), "5.50", "1.10, 4.40; OpenAI, 2025-01"),
    case("o3-pro", "o3-pro-2025-06-10", of(M, M), "100", "20, 80; OpenAI, 2025-06"),
    case("deep research", "o3-deep-research-2025-06-26", of(M, M), "50", "10, 40; OpenAI, 2025-06"),
    case("deep research, small", "o4-mini-deep-research", of(M, M), "10", "2, 8; OpenAI, 2025-06"),
    case("a model that searches", "gpt-4o-mini-search-preview", of(M, M), "0.75", "0.15, 0.60"),
    case(
        "a version that the list has not",
        "gpt-5-search-api-2025-10-14",
        of(M, M),
        "11.25",
        "1.25, 10; OpenAI, 2025-10",
        "undated_model",
    ),
    case("a compact date", "gpt-5.2-20251211", of(M, M), "15.75", "1.75, 14; OpenAI, 2025-12"),
    # Cached tokens. What peers charged in full.
    case("half cached", "gpt-4o", of(M, 0, cached=M // 2), "1.875", "2.50, cached 1.25; OpenAI"),
    case("mostly cached", "gpt-4o-mini", of(1000, 200, cached=800), "0.00021", "0.15/0.075/0.60"),
    case("all cached", "gpt-4.1-2025-04-14", of(M, M, cached=M), "8.50", "cached 0.50, 8; OpenAI"),
    case("all cached, small", "gpt-5-mini", of(M, M, cached=M), "2.025", "0.025, 2; OpenAI, 2025"),
    case(
        "o4-mini cached", "o4-mini-2025-04-16", of(M, M, cached=M), "4.675", "0.275, 4.40; OpenAI"
    ),
    case(
        "search, cached", "gpt-4o-search-preview", of(M, 0, cached=M), "1.25", "1.25; OpenAI, 2025"
    ),
    case(
        "cached, where nothing is off",
        "gpt-5-pro",
        of(M, 0, cached=M),
        "15",
        "15, no cached rate; OpenAI, 2025-10",
        "rate:cache_read",
    ),
    # Writes to the cache, by how long they are kept.
    case("a write", "gpt-6-sol", of(100_000, 0, stored=100_000), "0.25", "2.50 for 30 min; OpenAI"),
    case(
        "a write for 12 hours",
        "gpt-6-sol",
        of(100_000, 0, stored=100_000, stored_12h=100_000),
        "0.50",
        "5.00 for 12 h, twice that for 30 min; OpenAI, 2026-11",
    ),
    case(
        "writes of both kinds beside a read",
        "gpt-6.1-sol",
        of(100_000, 1000, cached=50_000, stored=30_000, stored_12h=10_000),
        # 20,000 at 2.00, 50,000 at 0.10, 20,000 at 2.50, 10,000 at 5.00, 1,000 at 10.00
        "0.155",
        "2.00, 0.10, 2.50, 5.00, 10.00; OpenAI, 2026-11",
    ),
    azure(
        "a write on Azure",
        "gpt-5.6-sol",
        of(10_000, 1000, stored=8000),
        # 2,000 at 4.00, 8,000 at 5.00, 1,000 at 20.00
        "0.068",
        "4, 5, 20; Azure, promotion of 2026-09-01",
        *ASSUMED_OF_AZURE,
    ),
    # Long inputs: past 272,000 tokens the whole request is dear.
    case("long", "gpt-5.4", of(300_000, 1000), "1.5225", "5, 22.50 past 272,000; OpenAI, 2026-03"),
    case("just not long", "gpt-5.4", of(272_000, 0), "0.68", "2.50 up to 272,000; OpenAI, 2026-03"),
    case("one token past", "gpt-5.4", of(272_001, 0), "1.360005", "5; OpenAI, 2026-03"),
    case(
        "long and cached",
        "gpt-5.6-sol",
        of(300_000, 1000, cached=200_000),
        # 100,000 at 8, 200,000 at 0.80, 1,000 at 30
        "0.99",
        "8, 0.80, 30 past 272,000; OpenAI, 2026-08-21",
        day="2026-09-01",
    ),
    case(
        "long, with a write",
        "gpt-6-sol",
        of(300_000, 0, stored=100_000),
        # 200,000 at 4, 100,000 at 5
        "1.30",
        "4, 5 past 272,000; OpenAI, 2026-11",
    ),
    case(
        "long, with a write for 12 hours",
        "gpt-6-sol",
        of(300_000, 0, stored=100_000, stored_12h=100_000),
        # 200,000 at 4, 100,000 at 10
        "1.80",
        "4, 10 past 272,000; OpenAI, 2026-11",
    ),
    case(
        "long, at the flex rate",
        "gpt-5.4",
        of(300_000, 1000),
        # 300,000 at 2.50, 1,000 at 11.25
        "0.76125",
        "half of 5 and 22.50; OpenAI, 2026-03",
        service_tier="flex",
    ),
    # Prices that changed: by the day the request was made, not by today's list.
    case("o3 at its launch", "o3", of(M, M), "50", "10, 40; OpenAI, 2025-04-16", day="2025-06-01"),
    case("o3 since the cut", "o3", of(M, M), "10", "2, 8; OpenAI, 2025-06-10"),
    case("o3 on the day of it", "o3", of(M, M), "10", "2, 8; OpenAI, 2025-06-10", day="2025-06-10"),
    case(
        "o3 cached, at its launch",
        "o3",
        of(M, 0, cached=M),
        "2.50",
        "cached 2.50; OpenAI, 2025-04-16",
        day="2025-06-01",
    ),
    case("luna before", "gpt-5.6-luna", of(M // 10, M // 10), "0.70", "1, 6", day="2026-07-20"),
    case(
        "luna after", "gpt-5.6-luna", of(M // 10, M // 10), "0.14", "0.20, 1.20", day="2026-08-01"
    ),
    case("sol promoted", "gpt-5.6-sol", of(M // 10, M // 10), "2.40", "4, 20", day="2026-09-01"),
    case(
        "sol by its short name", "gpt-5.6", of(M // 10, M // 10), "2.40", "4, 20", day="2026-09-01"
    ),
    case(
        "sol, past what was promised",
        "gpt-5.6-sol",
        of(M // 10, M // 10),
        "2.40",
        "4, 20 at least through 2026-11-21; OpenAI, 2026-08-21",
        "promo_ended",
    ),
    azure(
        "luna on Azure, which cut later",
        "gpt-5.6-luna",
        of(100_000, 100_000),
        "0.70",
        "1, 6; Azure's retail list of 2026-08-11",
        *ASSUMED_OF_AZURE,
        day="2026-08-15",
    ),
    azure(
        "luna on Azure now",
        "gpt-5.6-luna",
        of(100_000, 100_000),
        "0.14",
        "0.20, 1.20; Azure, 2026-10-03",
        *ASSUMED_OF_AZURE,
    ),
    azure(
        "sol on Azure, which promoted later",
        "gpt-5.6-sol",
        of(100_000, 100_000),
        "3.50",
        "5, 30 until 2026-09-01; Azure's retail list of 2026-08-11",
        *ASSUMED_OF_AZURE,
        day="2026-08-25",
    ),
    # Tiers, as they served.
    case("flex", "gpt-5", of(M, M), "5.625", "0.625, 5; OpenAI, 2025-08", service_tier="flex"),
    case(
        "flex before the list dates it",
        "gpt-5",
        of(M, M),
        "5.625",
        "0.625, 5; OpenAI, 2025-08",
        "undated_tier",
        day="2026-09-01",
        service_tier="flex",
    ),
    case(
        "flex, of the price of its time",
        "gpt-5.6-luna",
        of(100_000, 100_000),
        "0.35",
        "half of 1 and 6; OpenAI, 2026-07",
        "undated_tier",
        day="2026-07-20",
        service_tier="flex",
    ),
    case(
        "priority",
        "gpt-5.5",
        of(100_000, 100_000),
        "8.75",
        "12.50, 75; openai.com/api-priority-processing",
        service_tier="priority",
    ),
    case(
        "priority before the list dates it",
        "gpt-5.5",
        of(100_000, 100_000),
        "8.75",
        "12.50, 75; openai.com/api-priority-processing",
        "undated_tier",
        day="2026-09-01",
        service_tier="priority",
    ),
    case(
        "priority, cached",
        "gpt-5.2",
        of(M, M, cached=M),
        "28.35",
        "0.35, 28; openai.com/api-priority-processing",
        service_tier="priority",
    ),
    case(
        "priority, older",
        "gpt-4.1",
        of(100_000, 100_000),
        "1.75",
        "3.50, 14; openai.com/api-priority-processing",
        service_tier="priority",
    ),
    case(
        "priority, small",
        "gpt-5-mini",
        of(100_000, 100_000),
        "0.405",
        "0.45, 3.60; openai.com/api-priority-processing",
        service_tier="priority",
    ),
    case(
        "priority, reasoning at its rate too",
        "gpt-5",
        of(1000, 2000, reasoned=1900),
        # 1,000 at 2.50, 2,000 at 20
        "0.0425",
        "2.50, 20; openai.com/api-priority-processing",
        service_tier="priority",
    ),
    case(
        "asked for priority, served as any other",
        "gpt-5",
        of(1000, 1000),
        "0.01125",
        "1.25, 10; OpenAI, 2025-08",
        service_tier="default",
        service_tier_asked="priority",
    ),
    case(
        "asked for flex, and the answer does not say",
        "gpt-5",
        of(1000, 1000),
        "0.005625",
        "0.625, 5; OpenAI, 2025-08",
        "asked_tier",
        service_tier="auto",
        service_tier_asked="flex",
    ),
    case(
        "fast",
        "gpt-5.6-sol",
        of(100_000, 100_000),
        "4.80",
        "8, 40; OpenAI, 2026-08-21",
        day="2026-11-01",
        service_tier="fast",
    ),
    case(
        "batch",
        "gpt-5.6-sol",
        of(100_000, 100_000),
        "1.20",
        "2, 10; OpenAI, 2026-08-21",
        day="2026-11-01",
        service_tier="batch",
    ),
    case("batch, older", "gpt-4o", of(M, M), "6.25", "1.25, 5; OpenAI", service_tier="batch"),
    case(
        "batch, where nothing is off for the cache",
        "gpt-4.1",
        of(M, 0, cached=M),
        "1",
        "1.00, no cached rate; OpenAI, 2025-04",
        "rate:cache_read",
        service_tier="batch",
    ),
    case(
        "batch that the list does not have",
        "text-embedding-3-large",
        of(M, 0),
        "0.065",
        "half of 0.13; OpenAI, 2024-01",
        "batch_half",
        service_tier="batch",
    ),
    case(
        "batch that costs the same",
        "gpt-3.5-turbo-1106",
        of(M, M),
        "3",
        "1, 2 in a batch as elsewhere; OpenAI, 2023-11",
        service_tier="batch",
    ),
    case(
        "scale: what was bought beforehand is not on the list",
        "gpt-5",
        of(100_000, 100_000),
        "1.125",
        "1.25, 10; OpenAI, 2025-08",
        "standard_tier",
        service_tier="scale",
    ),
    # Audio and images.
    case(
        "audio in and out",
        "gpt-audio-2025-08-28",
        of(500, 550, heard=400, spoken=500),
        # 100 at 2.50, 400 at 32, 50 at 10, 500 at 64
        "0.04555",
        "2.50, 32, 10, 64; OpenAI, 2025-08",
    ),
    case(
        "audio, small",
        "gpt-audio-mini",
        of(500, 550, heard=400, spoken=500),
        # 100 at 0.60, 400 at 10, 50 at 2.40, 500 at 20
        "0.01418",
        "0.60, 10, 2.40, 20; OpenAI, 2025-10",
    ),
    case(
        "audio of a preview",
        "gpt-4o-audio-preview-2024-12-17",
        of(500, 550, heard=400, spoken=500),
        # 100 at 2.50, 400 at 40, 50 at 10, 500 at 80
        "0.05675",
        "2.50, 40, 10, 80; OpenAI, 2024-12",
    ),
    case(
        "audio of a small preview",
        "gpt-4o-mini-audio-preview-2024-12-17",
        of(500, 550, heard=400, spoken=500),
        # 100 at 0.15, 400 at 10, 50 at 0.60, 500 at 20
        "0.014045",
        "0.15, 10, 0.60, 20; OpenAI, 2024-12",
    ),
    case("audio cached", "gpt-realtime", of(1000, 0, heard=1000, cached=1000), "0.0004", "0.40"),
    case(
        "an image at its own rate",
        "gpt-realtime",
        of(1000, 0, seen=600),
        # 400 at 4, 600 at 5
        "0.0046",
        "4, images 5; OpenAI, 2025-08",
    ),
    case(
        "an image as text",
        "gpt-4o",
        of(1000, 0, seen=700),
        "0.0025",
        "2.50, images too; OpenAI, 2024-10",
        "rate:input_image",
    ),
    # What is written and not seen.
    case(
        "reasoning is output, once",
        "gpt-5.4-pro",
        of(14_746, 1944, reasoned=1500),
        # 14,746 at 30, 1,944 at 180
        "0.79230",
        "30, 180; OpenAI, 2026-03",
    ),
    azure(
        "reasoning is output, once, on Azure",
        "gpt-5.1",
        of(8000, 9800, reasoned=9000),
        # 8,000 at 1.25, 9,800 at 10
        "0.108",
        "1.25, 10; Azure, 2025-11",
        *ASSUMED_OF_AZURE,
    ),
    case(
        "a prediction that was rejected is output",
        "gpt-4o",
        of(1000, 500, rejected=200),
        "0.0075",
        "2.50, 10; OpenAI, 2024-11",
    ),
    # Fine-tuned models.
    case(
        "fine-tuned gpt-4o-mini",
        "ft:gpt-4o-mini-2024-07-18:acme::abc",
        of(M, M, cached=M // 2),
        # 0.15 + 0.075 + 1.20
        "1.425",
        "0.30, 0.15, 1.20; OpenAI, 2024-10",
    ),
    case("fine-tuned gpt-4o", "ft:gpt-4o-2024-08-06:acme::abc", of(M, M), "18.75", "3.75, 15"),
    case("fine-tuned gpt-4.1", "ft:gpt-4.1-2025-04-14:acme::abc", of(M, M), "15", "3, 12; OpenAI"),
    case("small", "ft:gpt-4.1-mini-2025-04-14:acme::abc", of(M, M), "4", "0.80, 3.20; OpenAI"),
    case("smallest", "ft:gpt-4.1-nano-2025-04-14:acme::abc", of(M, M), "1", "0.20, 0.80; OpenAI"),
    case("fine-tuned o4-mini", "ft:o4-mini-2025-04-16:acme::abc", of(M, M), "20", "4, 16; OpenAI"),
    case("fine-tuned gpt-3.5", "ft:gpt-3.5-turbo-0125:acme::abc", of(M, M), "9", "3, 6; OpenAI"),
    # Addresses that keep data in place: a tenth more, for models released since 2026-03-05.
    case(
        "kept in Europe",
        "gpt-5.4-2026-03-05",
        of(100_000, 100_000),
        # 100,000 at 2.75, 100,000 at 16.50
        "1.925",
        "2.50, 15 and 10 %; OpenAI, 2026-11",
        "residency_uplift",
        endpoint="eu.api.openai.com",
    ),
    case(
        "kept in Europe, cached",
        "gpt-6-sol",
        of(100_000, 100_000, cached=50_000),
        # 50,000 at 2.20, 50,000 at 0.22, 100,000 at 11
        "1.221",
        "2, 0.20, 10 and 10 %; OpenAI, 2026-11",
        "residency_uplift",
        endpoint="eu.api.openai.com",
    ),
    case(
        "kept in Japan, long",
        "gpt-5.5",
        of(300_000, 1000),
        # 300,000 at 11, 1,000 at 49.50
        "3.3495",
        "10, 45 past 272,000 and 10 %; OpenAI, 2026-11",
        "residency_uplift",
        endpoint="jp.api.openai.com",
    ),
    case(
        "kept in the US, in a batch",
        "gpt-5.4-mini",
        of(100_000, 100_000),
        # 100,000 at 0.4125, 100,000 at 2.475
        "0.28875",
        "0.375, 2.25 and 10 %; OpenAI, 2026-11",
        "residency_uplift",
        endpoint="us.api.openai.com",
        service_tier="batch",
    ),
    case(
        "an older model, kept in Europe",
        "gpt-4.1",
        of(M, M),
        "10",
        "2, 8, without a surcharge; OpenAI, 2026-11",
        endpoint="eu.api.openai.com",
    ),
    case(
        "a model of the month before, kept in the US",
        "gpt-5.3-codex",
        of(M, M),
        "15.75",
        "1.75, 14, released 2026-02; OpenAI",
        endpoint="us.api.openai.com",
    ),
    # Azure: names, kinds of deployment, tiers.
    azure("gpt-4o", "gpt-4o-2024-11-20", of(M, M), "12.50", "2.50, 10", *ASSUMED_OF_AZURE),
    azure("its own list", "o3-2025-04-16", of(M, M), "10", "2, 8; Azure", "global_deployment"),
    azure("what it calls gpt-3.5", "gpt-35-turbo", of(M, M), "2", "0.50, 1.50", *ASSUMED_OF_AZURE),
    azure("dated", "gpt-35-turbo-0125", of(M, M), "2", "0.50, 1.50", *ASSUMED_OF_AZURE),
    azure(
        "a deployment of any name",
        "gpt-4o-mini-2024-07-18",
        of(M, M),
        "0.75",
        "0.15, 0.60; Azure, 2024-07",
        *ASSUMED_OF_AZURE,
        model="chat-prod",
        deployment="chat-prod",
    ),
    azure(
        "a deployment named after another model",
        "gpt-4.1-2025-04-14",
        of(M, M),
        "10",
        "2, 8; Azure, 2025-04",
        *ASSUMED_OF_AZURE,
        model="gpt-4o",
        deployment="gpt-4o",
    ),
    azure(
        "a sibling whose name begins alike",
        "o4-mini-deep-research",
        of(M, M),
        "10",
        "2, 8; OpenAI, 2025-06",
        *ASSUMED_OF_AZURE,
    ),
    azure(
        "known to be global",
        "gpt-4.1",
        of(M, M),
        "10",
        "2, 8; Azure, 2025-04",
        "openai_list",
        scope="global",
        region="East US 2",
    ),
    azure(
        "a data zone in the US",
        "gpt-4.1",
        of(M, M),
        "11",
        "2.20, 8.80; Azure, 2025-04",
        "openai_list",
        "zone_uplift",
        scope="data-zone",
        region="East US 2",
    ),
    azure(
        "a data zone in Europe",
        "gpt-5.4-mini",
        of(100_000, 100_000),
        "0.5775",
        "0.825, 4.95; Azure's retail list of 2026-08-11",
        "openai_list",
        "zone_uplift",
        scope="data-zone",
        region="Sweden Central",
    ),
    azure(
        "a data zone in Asia",
        "gpt-5.4-mini",
        of(100_000, 100_000),
        "0.63",
        "0.90, 5.40; Azure's retail list of 2026-08-11",
        "openai_list",
        "zone_uplift",
        scope="data-zone",
        region="Japan East",
    ),
    azure(
        "a data zone in Europe, of the newest",
        "gpt-6-sol",
        of(100_000, 100_000),
        "1.44",
        "2.40, 12; Azure, 2026-11",
        "openai_list",
        "zone_uplift",
        scope="data-zone",
        region="Germany West Central",
    ),
    azure(
        "a region",
        "gpt-4o-2024-08-06",
        of(M, M),
        "13.75",
        "2.75, 11; Azure, 2024-10",
        "openai_list",
        "zone_uplift",
        scope="regional",
        region="Australia East",
    ),
    azure(
        "a region that nobody names",
        "o1-2024-12-17",
        of(M, M),
        "82.50",
        "16.50, 66; Azure, 2025-01",
        "zone_uplift",
        scope="regional",
    ),
    azure(
        "a region, before there was anything else",
        "gpt-4-0613",
        of(M, M),
        "90",
        "30, 60; Azure, 2023-07",
        "openai_list",
        scope="regional",
        region="France Central",
    ),
    azure(
        "for the government",
        "gpt-5.1",
        of(M, M),
        "15.46875",
        "1.71875, 13.75; Azure Government, 2026",
        "openai_list",
        "zone_uplift",
        scope="data-zone",
        region="USGov Virginia",
    ),
    azure(
        "priority on Azure",
        "gpt-5",
        of(100_000, 100_000),
        "2.25",
        "2.50, 20; Azure, 2025-12",
        *ASSUMED_OF_AZURE,
        service_tier="priority",
    ),
    azure(
        "batch on Azure",
        "gpt-4o",
        of(M, M),
        "6.25",
        "1.25, 5; Azure, 2024-11",
        *ASSUMED_OF_AZURE,
        service_tier="batch",
    ),
    azure(
        "flex of Azure's own o3",
        "o3",
        of(M, M),
        "5",
        "1, 4; OpenAI, 2025-06",
        "global_deployment",
        service_tier="flex",
    ),
    azure(
        "batch of the price of its time",
        "gpt-5.6-luna",
        of(100_000, 100_000),
        "0.35",
        "half of 1 and 6; Azure's retail list of 2026-08-11",
        "undated_tier",
        *ASSUMED_OF_AZURE,
        day="2026-08-15",
        service_tier="batch",
    ),
    azure("provisioned", "gpt-4o", of(M, M), "0", "by the hour; Azure", provisioned=True),
    azure(
        "spilled over from what is provisioned",
        "gpt-4o",
        of(M, M),
        "12.50",
        "2.50, 10; Azure, 2024-10",
        *ASSUMED_OF_AZURE,
        provisioned=True,
        spillover={"x-ms-spillover-from-deployment": "ptu", "x-ms-deployment-name": "standard"},
    ),
    azure(
        "fine-tuned on Azure",
        "gpt-4.1-2025-04-14.ft-0123abc",
        of(M, M),
        "15",
        "3, 12; OpenAI, 2025-04",
        "global_deployment",
    ),
]
