"""`usagestream prices`: what is known of prices, and from where."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from .screen import say, say_json
from .sources import records_of, say_no_records

if TYPE_CHECKING:
    from usagestream import Cost, LongContext, Price, PriceList, Rates, UsageRecord

__all__ = ["price_list", "prices"]

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_COUNT = click.IntRange(min=0)
_DAY = click.DateTime(["%Y-%m-%d"])


@click.command(short_help="Say what a model costs, and why.")
@click.argument("model", required=False)
@click.option("--provider", default="openai", show_default=True, help="openai or azure.")
@click.option("--date", type=_DAY, metavar="DAY", help="Of which day (UTC); today by default.")
@click.option("--tier", default="standard", show_default=True, help="flex, priority, batch...")
@click.option("--scope", type=click.Choice(["global", "data-zone", "regional"]), help="Of Azure's.")
@click.option("--region", help="Where Azure answers: decides what a data zone costs.")
@click.option("--input", "input_tokens", type=_COUNT, help="Tokens read, all of them.")
@click.option("--cached", type=_COUNT, help="Of those, read from the cache.")
@click.option("--cache-write", type=_COUNT, help="Of those, written to the cache.")
@click.option("--cache-write-12h", type=_COUNT, help="Of those, kept for 12 hours.")
@click.option("--audio-in", type=_COUNT, help="Of those, audio.")
@click.option("--output", "output_tokens", type=_COUNT, help="Tokens written, reasoning included.")
@click.option("--audio-out", type=_COUNT, help="Of those, audio.")
@click.option("--prices", "file", type=_FILE, help="A price file, in place of the configured one.")
@click.option(
    "--check",
    metavar="SOURCE",
    help="Name the models in a file or a ledger without a price.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead.")
def prices(
    model: str | None, file: Path | None, check: str | None, as_json: bool, **asked: Any
) -> None:
    """Say what MODEL costs, by which list or file, and what so many tokens of it would cost.

    Without MODEL, names the models of the provider that have a price. Sends nothing. Exits with 1
    where there is no price, or --check names a model.
    """
    _check_options(model, check, asked)
    known = price_list(file)
    if check is not None:
        _check(known, check, as_json)
    elif model is None:
        _list_all(known, asked, as_json)
    else:
        _show(known, model, asked, as_json)


def _check_options(model: str | None, check: str | None, asked: dict[str, Any]) -> None:
    if model is not None and check is not None:
        raise click.UsageError("Give MODEL or --check, not both.")
    for whole, parts in _PARTS.items():
        given = [name for name in parts if asked[name] is not None]
        if given and asked[whole] is None:
            name = given[0].replace("_", "-")
            raise click.UsageError(
                f"--{name} counts some of --{whole.removesuffix('_tokens')}: give that as well."
            )


_PARTS: Final = {
    "input_tokens": ("cached", "cache_write", "cache_write_12h", "audio_in"),
    "output_tokens": ("audio_out",),
}


def price_list(file: Path | None) -> PriceList:
    """The prices in force, or those of a file; else say what is wrong, or missing."""
    from usagestream import ConfigError

    from ..prices import PriceList, installed_pricer

    try:
        return (PriceList(file) if file is not None else installed_pricer()) or PriceList()
    except ConfigError as exc:
        raise click.ClickException(str(exc)) from exc


def _record(model: str, asked: dict[str, Any]) -> UsageRecord:
    from usagestream import Outcome, Usage, UsageRecord, UsageSource

    day = asked["date"] or datetime.now(UTC)
    counts = {
        "input_tokens": asked["input_tokens"],
        "cache_read_tokens": asked["cached"],
        "cache_write_tokens": asked["cache_write"],
        "cache_write_12h_tokens": asked["cache_write_12h"],
        "input_audio_tokens": asked["audio_in"],
        "output_tokens": asked["output_tokens"],
        "output_audio_tokens": asked["audio_out"],
    }
    return UsageRecord(
        provider=asked["provider"],
        model=model,
        response_model=model,
        service_tier=asked["tier"],
        scope=asked["scope"],
        region=asked["region"],
        outcome=Outcome.COMPLETED,
        started_at=day.replace(tzinfo=UTC),
        ended_at=day.replace(tzinfo=UTC),
        usage=Usage.model_validate({**counts, "source": UsageSource.REPORTED}),
    )


def _show(known: PriceList, model: str, asked: dict[str, Any], as_json: bool) -> None:
    from usagestream import cost_of

    record = _record(model, asked)
    price = known.find(record)
    if price is None:
        raise click.ClickException(
            f"No price is known of {model!r} of {asked['provider']}: a price file can give one."
        )
    if asked["input_tokens"] is None and asked["output_tokens"] is None:
        cost = None
    else:
        cost = cost_of(record.usage, price)
    if as_json:
        both = {
            "price": price.model_dump(mode="json"),
            "cost": None if cost is None else cost.model_dump(mode="json"),
        }
        say_json(json.dumps(both, indent=2))
        return
    for name, value in _lines(price, cost):
        say(f"{name:<21} {value}")


def _lines(price: Price, cost: Cost | None) -> Iterator[tuple[str, str]]:
    yield "model", price.model
    yield "source", price.source
    days = [f"since {price.since}" if price.since else "", f"until {price.until}"]
    said = ", ".join(day for day in days if day and not day.endswith("None"))
    yield "days", said or "not dated"
    yield "tier", price.tier
    if price.scope is not None:
        yield "scope", price.scope
    yield "rates", f"{price.currency} for 1,000,000 tokens"
    yield from _rates(price.rates)
    assumed = price.assumed if cost is None else cost.assumed
    if assumed:
        yield "assumed", ", ".join(assumed)
    if cost is not None:
        yield "cost", str(cost)


def _rates(rates: Rates) -> Iterator[tuple[str, str]]:
    from usagestream_core.cost import amount_text

    for name, rate in rates:
        if name != "long_context" and rate is not None:
            yield f"  {name}", amount_text(rate)
    long: LongContext | None = rates.long_context
    if long is not None:
        yield "  past", f"{long.above:,} input tokens, for the whole request:"
        yield from ((f"  {name}", rate) for name, rate in _rates(long.rates))


def _list_all(known: PriceList, asked: dict[str, Any], as_json: bool) -> None:
    found = {
        name: price
        for name in known.models(asked["provider"])
        if (price := known.find(_record(name, asked))) is not None
    }
    if as_json:
        say_json(json.dumps({n: p.model_dump(mode="json") for n, p in found.items()}, indent=2))
        raise SystemExit(0 if found else 1)
    if not found:
        raise click.ClickException(
            f"No price is known of any model of {asked['provider']!r}: lists are of openai and "
            "azure; a price file can give others."
        )
    for name, price in found.items():
        rates = dict(_rates(price.rates))
        shown = ", ".join(f"{each} {rates[f'  {each}']}" for each in _MAIN if f"  {each}" in rates)
        say(f"{name:<32} {shown} {price.currency}")
    say(f"{len(found)} models, for 1,000,000 tokens.", err=True)


_MAIN = ("input", "cache_read", "output")


def _check(known: PriceList, source: str, as_json: bool) -> None:
    unpriced: Counter[tuple[str, str]] = Counter()
    count = 0
    for record in records_of(source):
        count += 1
        if known.find(record) is None:
            unpriced[record.provider, record.response_model or record.model] += 1
    if not count:
        say_no_records(source)
    if as_json:
        rows = [
            {"provider": provider, "model": model, "records": number}
            for (provider, model), number in unpriced.most_common()
        ]
        say_json(json.dumps({"records": count, "unpriced": rows}, indent=2))
    else:
        for (provider, model), number in unpriced.most_common():
            many = "1 record" if number == 1 else f"{number} records"
            say(f"{provider} {model}: no price, {many}")
        say(f"{unpriced.total() or 'None'} of {count} records without a price.", err=True)
    raise SystemExit(1 if unpriced else 0)
