"""What a usage cost, and at which price. Amounts are `Decimal`, in JSON strings; never floats."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Context, Decimal
from functools import reduce
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from ._described import Described
from .usage import Usage, UsageSource

__all__ = [
    "Amount",
    "Cost",
    "LongContext",
    "Price",
    "Rate",
    "Rates",
    "Scope",
    "amount_text",
    "cost_of",
    "exactly",
]

_EXACT: Final = Context(prec=120)
"""Digits enough for any count of 64 bits at any rate, so that nothing is ever rounded."""

Scope: TypeAlias = Literal["global", "data-zone", "regional"]
"""What kind of deployment of Azure's: where it may be answered decides what it costs."""


def amount_text(amount: Decimal) -> str:
    """Write an amount in full, without an exponent and without zeros at its end."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _short(amount: Decimal) -> Decimal:
    """The same number without zeros at its end, and without an exponent to be printed."""
    short = amount.normalize(_EXACT)
    sign, digits, exponent = short.as_tuple()
    if isinstance(exponent, int) and exponent > 0:
        return Decimal((sign, digits + (0,) * exponent, 0))
    return short


def exactly(*factors: Decimal) -> Decimal:
    """Multiply without rounding."""
    product = Decimal(1)
    for each in factors:
        product = _EXACT.multiply(product, each)
    return product


def _no_float(value: object) -> object:
    if isinstance(value, float):
        raise ValueError("must be a string or an integer: a float is not the number it shows")  # noqa: TRY004 - pydantic reports a ValueError
    return value


_Exact: TypeAlias = Annotated[
    Decimal, BeforeValidator(_no_float), PlainSerializer(amount_text, when_used="json")
]
Amount: TypeAlias = Annotated[_Exact, Field(allow_inf_nan=False)]
"""Money, in the currency of its price."""
Rate: TypeAlias = Annotated[_Exact, Field(ge=0, allow_inf_nan=False)]
"""Money for a million tokens."""


class LongContext(NamedTuple):
    """The rates of requests whose input is longer than so many tokens."""

    above: Annotated[int, Field(gt=0)]
    """Input tokens, cached ones counted; a request of exactly so many is not long."""
    rates: Rates


class Rates(Described, frozen=True):
    """Prices for a million tokens of each kind. `None` means that the list names none.

    Where there is none, tokens are charged at the rate of what they are a part of, and the cost
    says so: cached and image input as `input`, a 12-hour cache write as `cache_write`, audio as
    `input` or `output`, cached audio and images as audio and images. `input` and `output` are part
    of nothing.
    """

    # Built once, below: `LongContext` holds another of these.
    model_config = ConfigDict(extra="forbid", defer_build=True)

    input: Rate | None = None
    """Everything read that has no rate of its own below."""
    output: Rate | None = None
    """Everything written that is not audio: text, reasoning, predictions that were rejected."""
    cache_read: Rate | None = None
    """Input that was read from the cache."""
    cache_write: Rate | None = None
    """Input that was written to the cache, for a lifetime of 30 minutes or the only one."""
    cache_write_12h: Rate | None = None
    """Input that was written to the cache for 12 hours."""
    input_audio: Rate | None = None
    """Input of sound that was not read from the cache."""
    cache_read_audio: Rate | None = None
    """Input of sound that was read from the cache."""
    output_audio: Rate | None = None
    """Output of sound."""
    input_image: Rate | None = None
    """Input of pictures that was not read from the cache."""
    cache_read_image: Rate | None = None
    """Input of pictures that was read from the cache."""
    long_context: LongContext | None = None
    """What a request with a long input costs instead, every token of it."""

    @model_serializer(mode="wrap", when_used="json")
    def _known(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: rate for name, rate in dump(self).items() if rate is not None}


Rates.model_rebuild()


class Price(Described, frozen=True):
    """Which price: enough to explain a cost, and to make it anew."""

    source: str
    """Which list, of which version; for a file its name and the beginning of its SHA-256."""
    model: str
    """The model that the price is of, as its source names it."""
    tier: str = "standard"
    """`standard`, `flex`, `priority`, `fast`, `batch`, `provisioned`, or another that was served;
    `assumed` says where it had no price of its own."""
    scope: Scope | None = None
    """`None` where the provider makes no difference."""
    since: date | None = None
    """The first day (UTC) of this price; `None` where the source does not say."""
    until: date | None = None
    """The first day (UTC) after it; `None` where no end is known."""
    currency: str = "USD"
    """The currency's code."""
    rates: Rates
    """For a million tokens, in this currency."""
    assumed: tuple[str, ...] = ()
    """What was taken for granted when the price was looked up: see `Cost.assumed`."""


class Cost(Described, frozen=True):
    """What a stream or a call cost, in the currency of its price. Frozen; JSON in and out.

    The parts are disjoint and add up to `total` exactly: cached audio is in `cache_read` and in no
    other part, reasoning is in `output`. A part is `None` where no tokens of its kind were counted.
    """

    total: Amount
    """All parts together."""
    input: Amount | None = None
    """Text that was neither read from the cache nor written to it."""
    cache_read: Amount | None = None
    """Whatever was read from the cache."""
    cache_write: Amount | None = None
    """Whatever was written to the cache, for any lifetime."""
    input_audio: Amount | None = None
    """Sound that was read, but not from the cache."""
    input_image: Amount | None = None
    """Pictures that were read, but not from the cache."""
    output: Amount | None = None
    """Whatever was written that is not sound; reasoning is included."""
    output_audio: Amount | None = None
    """Sound that was written."""

    price: Price
    """The price that it was worked out with."""
    basis: UsageSource
    """Whether the tokens were reported or estimated."""
    lower_bound: bool = False
    """True where something could not be seen, so that the cost may be higher: hidden reasoning, a
    count that nobody reported, the rest of a stream that goes on."""
    assumed: tuple[str, ...] = ()
    """What neither the record nor the price list says, by name:

    - `standard_tier`: the list has no price for the tier that served, or for it alone
    - `asked_tier`: what was asked for, since the answer names no tier
    - `undated_tier`: the tier's price is dated later than the request
    - `batch_half`: half the standard price, as the provider says of batches and of flex
    - `openai_list` (or another's): the list of another provider than the one that answered
    - `global_deployment`: nobody said what kind of deployment it is
    - `zone_uplift`: the usual surcharge on the global price, for a data zone or a region
    - `residency_uplift`: the published surcharge of OpenAI's addresses that keep data in place
    - `asked_model`: the model as it was asked for, since the answer names none that is known
    - `undated_model`: the model without its date, since the list has no such version
    - `promo_ended`: a promised price whose promise has run out
    - `rate:cache_read`, ...: no rate of this kind, so that of what it is part of
    - `cache_is_text`: which of the input was cached is not said
    - `clipped:cache_read_tokens`, ...: a count larger than what it is part of, cut to that
    - `ignored:input_tokens`, ...: a count below zero
    - `reasoning_beside_output`: the total shows reasoning that the output count leaves out
    """

    @property
    def currency(self) -> str:
        """The currency's code, as `USD`."""
        return self.price.currency

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """What is known, amounts in full."""
        for name, value in super().__repr_args__():
            yield name, amount_text(value) if isinstance(value, Decimal) else value

    def __str__(self) -> str:
        """In short: `0.0000039 USD (estimated, at least)`."""
        doubts = [self.basis.value] if self.basis is not UsageSource.REPORTED else []
        doubts += ["at least"] if self.lower_bound else []
        shown_doubts = f" ({', '.join(doubts)})" if doubts else ""
        return f"{amount_text(self.total)} {self.currency}{shown_doubts}"


_PARENTS: Final = {
    "cache_read": "input",
    "cache_write": "input",
    "cache_write_12h": "cache_write",
    "input_audio": "input",
    "cache_read_audio": "input_audio",
    "output_audio": "output",
    "input_image": "input",
    "cache_read_image": "input_image",
}


def cost_of(usage: Usage, price: Price) -> Cost | None:
    """Work out what these tokens cost at this price.

    `None` where no count is known, or where the price has no rate for text that was read or
    written: an unknown cost is never 0. Counts that contradict each other are cut so that no token
    is charged twice and none below zero, and `assumed` names them.
    """
    counts = _Counts(usage)
    if counts.input is None and counts.output is None:
        return None
    rates = price.rates
    long = rates.long_context
    if long is not None and (counts.input or 0) > long.above:
        rates = long.rates
    sums = _Sums(rates)
    try:
        parts = {**_input_parts(counts, sums), **_output_parts(counts, sums)}
    except _NoRateError:
        return None
    total = Decimal(0)
    for amount in parts.values():
        total = _EXACT.add(total, amount)
    return Cost(
        total=_short(total),
        **{name: _short(amount) for name, amount in parts.items()},
        price=price,
        basis=usage.source,
        lower_bound=usage.lower_bound or counts.input is None or counts.output is None,
        assumed=tuple(dict.fromkeys((*price.assumed, *counts.assumed, *sums.assumed))),
    )


class _NoRateError(Exception):
    """There are tokens that nothing is known of the price of."""


class _Counts:
    """Counts that can be true: none below zero, and no detail larger than its whole."""

    def __init__(self, usage: Usage) -> None:
        self.assumed: list[str] = []
        self._usage = usage
        self.input = self._read("input_tokens")
        self.output = self._read("output_tokens")
        self._add_reasoning()

    def _read(self, name: str) -> int | None:
        count: int | None = getattr(self._usage, name)
        if count is not None and count < 0:
            self.assumed.append(f"ignored:{name}")
            return None
        return count

    def _add_reasoning(self) -> None:
        """Count in what xAI reports in the total alone and bills as output: see `Usage`."""
        known = (self.input, self.output, self._usage.total_tokens, self._usage.reasoning_tokens)
        if None in known or self.input is None or self.output is None:
            return
        reasoning = self._usage.reasoning_tokens or 0
        if reasoning > 0 and self._usage.total_tokens == self.input + self.output + reasoning:
            self.output += reasoning
            self.assumed.append("reasoning_beside_output")

    def written(self, most: int) -> int | None:
        """Tokens written to the cache; the sum by lifetime where only that was reported."""
        write = self.within("cache_write_tokens", most)
        if write is not None:
            return write
        lifetimes = [self._read(f"cache_write_{name}_tokens") for name in ("30m", "12h")]
        known = [count for count in lifetimes if count is not None]
        return min(sum(known), most) if known else None

    def within(self, name: str, most: int) -> int | None:
        """A detail, of at most so many tokens; `None` where it was not reported."""
        count = self._read(name)
        if count is not None and count > most:
            self.assumed.append(f"clipped:{name}")
            return most
        return count


class _Sums:
    """Charges tokens, and keeps in mind what was assumed."""

    def __init__(self, rates: Rates) -> None:
        self.rates = rates
        self.assumed: list[str] = []

    def charge(self, kind: str, tokens: int) -> Decimal:
        if not tokens:
            return Decimal(0)
        return exactly(self._rate(kind), Decimal(tokens)).scaleb(-6, _EXACT)

    def _rate(self, kind: str) -> Decimal:
        rate: Decimal | None = getattr(self.rates, kind)
        if rate is not None:
            return rate
        if kind not in _PARENTS:
            raise _NoRateError
        self.assumed.append(f"rate:{kind}")
        return self._rate(_PARENTS[kind])


def _input_parts(counts: _Counts, sums: _Sums) -> dict[str, Decimal]:
    """Share the input out: what was cached is text as far as there is text (nobody says)."""
    if counts.input is None:
        return {}
    audio = counts.within("input_audio_tokens", counts.input)
    image = counts.within("input_image_tokens", counts.input - (audio or 0))
    read = counts.within("cache_read_tokens", counts.input)
    write = counts.written(counts.input - (read or 0))
    write_12h = counts.within("cache_write_12h_tokens", write or 0) if write is not None else None
    text = counts.input - (audio or 0) - (image or 0)
    if read and read < counts.input and text < counts.input:
        sums.assumed.append("cache_is_text")
    heaps = [text, audio or 0, image or 0]
    _take(heaps, write or 0)
    cached = _take(heaps, read or 0)
    text, sound, picture = heaps
    parts = {"input": sums.charge("input", text)}
    if read is not None:
        kinds = ("cache_read", "cache_read_audio", "cache_read_image")
        parts["cache_read"] = reduce(_EXACT.add, map(sums.charge, kinds, cached))
    if write is not None:
        long = write_12h or 0
        parts["cache_write"] = _EXACT.add(
            sums.charge("cache_write", write - long), sums.charge("cache_write_12h", long)
        )
    if audio is not None:
        parts["input_audio"] = sums.charge("input_audio", sound)
    if image is not None:
        parts["input_image"] = sums.charge("input_image", picture)
    return parts


def _take(heaps: list[int], wanted: int) -> list[int]:
    """Take so many from the heaps, the first first; give how many of each."""
    taken: list[int] = []
    for place, heap in enumerate(heaps):
        taken.append(min(heap, wanted))
        heaps[place] -= taken[-1]
        wanted -= taken[-1]
    return taken


def _output_parts(counts: _Counts, sums: _Sums) -> dict[str, Decimal]:
    if counts.output is None:
        return {}
    audio = counts.within("output_audio_tokens", counts.output)
    parts = {"output": sums.charge("output", counts.output - (audio or 0))}
    if audio is not None:
        parts["output_audio"] = sums.charge("output_audio", audio)
    return parts
