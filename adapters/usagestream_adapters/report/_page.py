"""A report as one page of HTML, complete in itself: no script, and nothing is loaded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from usagestream_core.records.report import FAILURES, ReportLine, UsageReport
from usagestream_core.usage import UsageSource

from ._style import STYLE
from ._svg import COLOURS, Bar, bar, bars
from ._text import money, name, number, percent, safe, seconds

if TYPE_CHECKING:
    from usagestream_core.record import UsageRecord

__all__ = ["Page"]

_MOST_TAGS: Final = 8
_MOST_VALUES: Final = 10_000
_SHOWN: Final = 10
_MOST_DAYS: Final = 92
_DEFAULT: Final = ("model",)
_STEP: Final = 8
"""Buckets of `Latencies` in a bar: half of a doubling."""


class Page:
    """What is on the page: some reports of the same streams as `report` is of."""

    def __init__(self, report: UsageReport) -> None:
        self._asked = report
        self._days = self._like("day", "model")
        self._models = self._like("model")
        self._outcomes = self._like("outcome")
        self._tags: dict[str, UsageReport | None] = {}
        for each in report.by:
            self.add_tag(each)

    @property
    def reports(self) -> list[UsageReport]:
        """To be filled, by whoever does not add records one by one."""
        found = [self._days, self._models, self._outcomes]
        return [*found, *(tag for tag in self._tags.values() if tag is not None)]

    def add_tag(self, tag: str) -> None:
        """Show what streams cost by this tag: `tag:customer`. Anything else is left alone."""
        if tag.startswith("tag:") and tag not in self._tags and len(self._tags) < _MOST_TAGS:
            self._tags[tag] = self._like(tag)

    def add(self, record: UsageRecord) -> None:
        """Add a record, and show its tags."""
        if not self._models.add(record):
            return
        self._days.add(record)
        self._outcomes.add(record)
        for tag in record.tags:
            self.add_tag(f"tag:{tag}")
        for tag, report in self._tags.items():
            if report is not None:
                report.add(record)
                if report.groups > _MOST_VALUES:
                    self._tags[tag] = None  # one value for each stream: nothing to look at

    def _like(self, *by: str) -> UsageReport:
        asked = self._asked
        return UsageReport(
            by, since=asked.since, until=asked.until, where=asked.where, timezone=asked.timezone
        )

    def html(self, *, made: datetime | None = None) -> str:
        """The page, as text."""
        total = self._models.total
        sections = [self._cards(total)]
        if total.streams:
            sections += [self._by_day(), self._by_model()]
            sections += [self._by_tag(tag, report) for tag, report in self._tags.items()]
            sections += [_kinds(total), _outcomes(self._outcomes), self._latency(total)]
        if self._asked.by not in (_DEFAULT, ()) and self._asked.groups:
            sections.append(self._as_asked())
        return _document(self._heading(made or datetime.now(UTC)), sections)

    def _heading(self, made: datetime) -> str:
        zone = self._asked.timezone
        days = [line.group[0] for line in self._days.lines if line.group[0] is not None]
        ends = (self._asked.since, self._asked.until)
        since, until = (f"{each.astimezone(zone):%Y-%m-%d %H:%M}" if each else "" for each in ends)
        span = (
            f"{since or min(days, default='the beginning')} to {until or max(days, default='now')}"
        )
        where = "; ".join(
            f"{key} is {' or '.join(sorted(value or '(none)' for value in values))}"
            for key, values in self._asked.where.items()
        )
        about = [span, where, f"times in {zone}", f"made {made.astimezone(zone):%Y-%m-%d %H:%M}"]
        return f"<p>{safe(' | '.join(filter(None, about)))}</p>"

    def _cards(self, total: ReportLine) -> str:
        currency = self._models.currency
        reported = total.cost(currency, UsageSource.REPORTED)
        estimated = total.cost(currency, UsageSource.ESTIMATED)
        others = [money(total.cost(each), each) for each in sorted(total.costs) if each != currency]
        unpriced = f"{number(total.unpriced)} without a price" if total.unpriced else ""
        guessed = f"and {money(estimated, currency)} estimated" if estimated is not None else ""
        known = f"{percent(total.share(UsageSource.REPORTED))} of usage reported"
        cached = f"{percent(total.cached_share)} of it cached" if total.cached_share else ""
        first = f"p95 {seconds(total.first_chunks.quantile(0.95))}"
        cards = [
            ("Cost", money(reported, currency), [guessed, *others, unpriced]),
            ("Streams", number(total.streams), [f"{number(total.failures)} failed", known]),
            ("Tokens in", number(total.tokens("input_tokens")), [cached]),
            ("Tokens out", number(total.tokens("output_tokens")), [_reasoning(total)]),
            ("First chunk", seconds(total.first_chunks.quantile(0.5)), [first]),
        ]
        shown = (
            f"<div><dt>{title}</dt><dd><b>{figure}</b>"
            f"{''.join(f'<small>{each}</small>' for each in more if each)}</dd></div>"
            for title, figure, more in cards
        )
        return f'<dl class="cards">{"".join(shown)}</dl>'

    def _measure(self) -> tuple[str, Callable[[ReportLine], Decimal], Callable[[Decimal], str]]:
        """What bars are of: money or, where nothing has a price, tokens."""
        currency = self._models.currency
        if self._models.total.costs:
            return (
                "Cost",
                lambda line: line.cost(currency) or Decimal(0),
                lambda amount: money(amount, currency),
            )
        return (
            "Tokens",
            lambda line: Decimal(line.tokens("total_tokens") or 0),
            lambda amount: f"{number(float(amount))} tokens",
        )

    def _by_day(self) -> str:
        what, measure, words = self._measure()
        order = [line.group[0] for line in self._models.lines][: COLOURS - 1]
        is_long = len({line.group[0] for line in self._days.lines}) > _MOST_DAYS
        sums: dict[str, dict[str | None, Decimal]] = {}
        for line in self._days.lines:
            day, model = line.group
            known = model if model in order else _OTHERS
            there = sums.setdefault((day or "")[: 7 if is_long else 10], defaultdict(Decimal))
            there[known] += measure(line)
        models: list[str | None] = [*order]
        models += [_OTHERS] if any(_OTHERS in each for each in sums.values()) else []
        times = sorted(sums) if is_long else _every_day(min(sums), max(sums))
        made: list[Bar] = []
        rows: list[list[str]] = []
        for time in times:
            amounts = sums.get(time, {})
            parts = [
                (float(amounts[m]), index, f"{time}, {_plain(m)}: {words(amounts[m])}")
                for index, m in enumerate(models)
                if m in amounts
            ]
            made.append(Bar(time, parts))
            rows.append([time, *(words(amounts[m]) if m in amounts else "" for m in models)])
        top = words(max(sum(each.values(), Decimal(0)) for each in sums.values()))
        legend = "".join(
            f'<li><i class="c{index}"></i>{_label(m)}</li>' for index, m in enumerate(models)
        )
        unit = "month" if is_long else "day"
        title = f"{what} by {unit} and model"
        table = _table([unit, *(_label(m) for m in models)], rows)
        chart = bars(title, made, f"up to {top}")
        return _section(title, f'{chart}<ul class="legend">{legend}</ul>{_details(table)}')

    def _by_model(self) -> str:
        return _section("Models", self._ranking("model", self._models))

    def _by_tag(self, tag: str, report: UsageReport | None) -> str:
        title = f"By {safe(tag.removeprefix('tag:'))}"
        if report is None:
            return _section(title, f"<p>More than {_MOST_VALUES:,} values.</p>")
        return _section(title, self._ranking(safe(tag), report))

    def _ranking(self, title: str, report: UsageReport) -> str:
        what, measure, words = self._measure()
        lines = report.lines
        most = max(map(measure, lines)) or Decimal(1)
        rows = [
            [
                name(line.group[0]),
                bar(float(measure(line) / most)),
                words(measure(line)) if line.costs or what == "Tokens" else _without(line),
                number(line.streams),
                number(line.tokens("input_tokens")),
                number(line.tokens("output_tokens")),
            ]
            for line in lines[:_SHOWN]
        ]
        left = len(lines) - len(rows)
        note = f"<p>And {left:,} more.</p>" if left else ""
        return _table([title, "", what.lower(), "streams", "in", "out"], rows) + note

    def _latency(self, total: ReportLine) -> str:
        steps: dict[int, int] = defaultdict(int)
        for bucket, count in total.first_chunks.counts.items():
            steps[bucket // _STEP] += count
        if not steps:
            return ""
        spans = [
            (steps[step], _span(step), _span(step + 1))
            for step in range(min(steps), max(steps) + 1)
        ]
        made = [
            Bar(start, [(count, 0, f"{start} to {end}: {count:,}")]) for count, start, end in spans
        ]
        top = f"up to {max(steps.values()):,} streams"
        lines = [line for line in self._models.lines if line.first_chunks.counts][:_SHOWN]
        quantiles = [
            (line, [line.first_chunks.quantile(share) or 0 for share in (0.5, 0.95)])
            for line in lines
        ]
        most = max(p95 for _, (_, p95) in quantiles)
        rows = [
            [
                name(line.group[0]),
                bar(p50 / most) + bar(p95 / most, 1),
                *(seconds(p50), seconds(p95)),
            ]
            for line, (p50, p95) in quantiles
        ]
        counted = [[f"{start} to {end}", number(count)] for count, start, end in spans]
        return _section(
            "Time to the first chunk",
            bars("Streams by their time to the first chunk", made, top)
            + _details(_table(["time", "streams"], counted))
            + _table(["model", "", "p50", "p95"], rows),
        )

    def _as_asked(self) -> str:
        asked = self._asked
        currency = asked.currency
        rows = [
            [
                *(name(each) for each in line.group),
                number(line.streams),
                number(line.tokens("input_tokens")),
                number(line.tokens("output_tokens")),
                money(line.cost(currency, UsageSource.REPORTED), currency),
                money(line.cost(currency, UsageSource.ESTIMATED), currency),
            ]
            for line in asked.lines[:_MOST_ROWS]
        ]
        left = asked.groups - len(rows)
        note = f"<p>And {left:,} more.</p>" if left else ""
        heads = [*map(safe, asked.by), "streams", "in", "out", "cost", "estimated"]
        return _section(
            f"By {safe(', '.join(asked.by))}", _table(heads, rows, len(asked.by)) + note
        )


_MOST_ROWS: Final = 200
_OTHERS: Final = "\x00others"
"""No model is called so: a record's text has its NUL shown."""


def _without(line: ReportLine) -> str:
    """What stands for a cost where there is none: nothing may have been billed."""
    return "no price" if line.unpriced else number(None)


def _plain(model: str | None) -> str:
    return "others" if model == _OTHERS else model or "(none)"


def _label(model: str | None) -> str:
    return "others" if model == _OTHERS else name(model)


def _every_day(first: str, last: str) -> list[str]:
    """Days without a stream too, so that the axis is true."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    days = (end - start).days + 1
    if days > _MOST_DAYS * 4:
        return [first, last]
    return [(start + timedelta(days=each)).isoformat() for each in range(days)]


def _span(step: int) -> str:
    value = 2 ** (step * _STEP / 16) / 1e6
    return f"{value:.2g} s" if value >= 1 else f"{value * 1000:.3g} ms"


def _reasoning(total: ReportLine) -> str:
    count = total.tokens("reasoning_tokens")
    return f"{number(count)} of them reasoning" if count else ""


def _kinds(total: ReportLine) -> str:
    """Of what kind the tokens were, and whether somebody reported them."""
    kinds = {
        "input": "input_tokens",
        "of it from the cache": "cache_read_tokens",
        "of it written to the cache": "cache_write_tokens",
        "output": "output_tokens",
        "of it reasoning": "reasoning_tokens",
    }
    most = max(total.tokens(each) or 0 for each in kinds.values()) or 1
    rows: list[list[str]] = []
    for title, each in kinds.items():
        count = total.tokens(each)
        if count is not None:
            guess = number(total.tokens(each, UsageSource.ESTIMATED))
            rows.append([title, bar(count / most), number(count), guess])
    return _section("Tokens", _table(["kind", "", "tokens", "of them estimated"], rows))


def _outcomes(report: UsageReport) -> str:
    lines = sorted(report.lines, key=lambda line: -line.streams)
    whole = sum(line.streams for line in lines)
    failures = {outcome.value for outcome in FAILURES}
    rows = [
        [
            name(line.group[0]),
            bar(line.streams / whole, _FAILED if line.group[0] in failures else 0),
            number(line.streams),
            percent(line.streams / whole),
        ]
        for line in lines
    ]
    return _section("How they ended", _table(["outcome", "", "streams", "share"], rows))


_FAILED: Final = 3


_NAME: Final = ' class="name"'


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>"


def _details(table: str) -> str:
    return f"<details><summary>The same as a table</summary>{table}</details>"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], names: int = 1) -> str:
    """A table of cells that are HTML; the first columns are names, the others figures."""
    head = "".join(
        f'<th scope="col"{_NAME if index < names else ""}>{each}</th>'
        for index, each in enumerate(heads)
    )
    lines: list[str] = []
    for row in rows:
        cells = [f'<th scope="row"><bdi>{each}</bdi></th>' for each in row[:names]]
        cells += [f"<td>{each}</td>" for each in row[names:]]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    whole = f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody>"
    return f'<div class="wide"><table>{whole}</table></div>'


def _document(heading: str, sections: Iterable[str]) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">"
        f"<title>Usage and cost</title><style>{STYLE}</style></head><body><main>"
        f"<header><h1>Usage and cost</h1>{heading}</header>{''.join(sections)}"
        "<footer>Costs are of tokens, by the price list that each record names; they are no bill. "
        "What nobody reported or priced is counted, and is in no sum.</footer>"
        "</main></body></html>\n"
    )
