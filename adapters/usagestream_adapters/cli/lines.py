"""A report as a table on a terminal: in columns, or stacked where they do not fit."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from .screen import visible

if TYPE_CHECKING:
    from usagestream import ReportLine, UsageReport

__all__ = ["table"]


def table(report: UsageReport, *, width: int | None = None) -> str:
    """The lines of a report, and their sum. `width` is the terminal's, `None` for no end."""
    lines = report.lines
    if not lines:
        return "No streams."
    total = report.total
    footer = _sources(total, _shares(total))
    currency = report.currency
    columns = _columns(currency)
    known = [title for title, read in columns.items() if _short(title, read(total)) is not None]
    rows = [[*report.by, *known]]
    shown = [*lines, total] if len(lines) > 1 else lines
    for line in shown:
        cells = [_short(title, columns[title](line)) or "-" for title in known]
        rows.append([*_names(report, line), *cells])
    text = _in_columns(rows, len(report.by))
    widest = max(map(_cells, text.splitlines()))
    if width is not None and widest > width:
        text = "\n".join(_stacked(report, line, currency, width) for line in shown)
        footer = ""
    return f"{text}\n\n{footer}" if footer else text


def _columns(currency: str) -> dict[str, Callable[[ReportLine], str | None]]:
    from usagestream import UsageSource

    reported, estimated = UsageSource.REPORTED, UsageSource.ESTIMATED
    return {
        "streams": lambda line: f"{line.streams:,}",
        "failed": lambda line: _number(line.failures),
        "input": lambda line: _number(line.tokens("input_tokens")),
        "cached": lambda line: _percent(line.cached_share),
        "output": lambda line: _number(line.tokens("output_tokens")),
        f"cost {currency}": lambda line: _amount(line.cost(currency, reported)),
        "estimated": lambda line: _amount(line.cost(currency, estimated)),
        "other": lambda line: _others(line, currency),
        "unpriced": lambda line: _number(line.unpriced),
        "p50": lambda line: _seconds(line.first_chunks.quantile(0.5)),
        "p95": lambda line: _seconds(line.first_chunks.quantile(0.95)),
    }


def _short(title: str, cell: str | None) -> str | None:
    """Columns in which there is nothing at all are left out."""
    return None if cell == "0" and title in ("failed", "unpriced") else cell


def _names(report: UsageReport, line: ReportLine) -> list[str]:
    if not line.group and report.by:
        return ["total", *[""] * (len(report.by) - 1)]
    return ["-" if name is None else _one_line(name) for name in line.group]


def _one_line(text: str) -> str:
    shown = visible(text).replace("\n", "\\n").replace("\t", "\\t")
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 3]}..."


_LONGEST = 60


def _in_columns(rows: Sequence[Sequence[str]], names: int) -> str:
    widths = [max(map(_cells, column)) for column in zip(*rows, strict=True)]
    lines: list[str] = []
    for row in rows:
        cells: list[str] = []
        for index, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - _cells(cell))
            cells.append(cell + space if index < names else space + cell)
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _cells(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _stacked(report: UsageReport, line: ReportLine, currency: str, width: int) -> str:
    cells = {title: read(line) for title, read in _columns(currency).items()}
    streams = "1 stream" if line.streams == 1 else f"{line.streams:,} streams"
    money = [
        (cells[f"cost {currency}"], f"{currency}"),
        (cells["estimated"], f"{currency} estimated"),
    ]
    money += [(cells["other"], "besides"), (_short("unpriced", cells["unpriced"]), "unpriced")]
    tokens = [(cells["input"], "in"), (cells["cached"], "of it cached"), (cells["output"], "out")]
    first = [(cells["p50"], "to the first chunk (p50)"), (cells["p95"], "(p95)")]
    ended = [(_short("failed", cells["failed"]), "failed")]
    parts = [
        *_said([(streams, ""), *ended]),
        *_said(money),
        *_said(tokens),
        *_said(first),
        *_shares(line),
    ]
    heading = ", ".join(name for name in _names(report, line) if name) or "total"
    body = textwrap.wrap(", ".join(parts), max(width - 2, 20))
    return "\n".join([*textwrap.wrap(heading, max(width, 20)), *(f"  {each}" for each in body)])


def _said(cells: Sequence[tuple[str | None, str]]) -> list[str]:
    return [f"{cell} {word}".rstrip() for cell, word in cells if cell is not None]


def _shares(line: ReportLine) -> list[str]:
    """Whence the usage is, where not all of it was reported."""
    from usagestream import UsageSource

    shares = [(line.share(source), source.value) for source in UsageSource]
    if not line.sources.total() or line.share(UsageSource.REPORTED) == 1:
        return []
    return [f"{_percent(share)} {name}" for share, name in shares if share]


def _sources(total: ReportLine, shares: Sequence[str]) -> str:
    sentences: list[str] = []
    if shares:
        sentences.append(f"Usage: {', '.join(shares)}.")
    if total.lower_bound:
        sentences.append("Some of it may have been more.")
    return " ".join(sentences)


def _number(count: int | None) -> str | None:
    return None if count is None else f"{count:,}"


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{share * 100:.0f} %"


def _seconds(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:.2f} s"


def _amount(amount: Decimal | None) -> str | None:
    """Four digits, and cents at least; in full there is JSON."""
    if amount is None:
        return None
    places = 2 if abs(amount) >= 10 or not amount else 3 - amount.adjusted()
    return f"{round(amount, places):,f}"


def _others(line: ReportLine, currency: str) -> str | None:
    others = [f"{_amount(line.cost(each))} {each}" for each in sorted(line.costs)]
    return ", ".join(each for each in others if not each.endswith(f" {currency}")) or None
