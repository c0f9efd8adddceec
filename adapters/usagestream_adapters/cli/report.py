"""`usagestream report`: what streams used and cost, by whatever one asks."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .lines import table
from .prune import configured, reading
from .screen import is_terminal, say, say_json, write
from .sources import is_ledger, ledger_url

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from usagestream import UsageRecord, UsageReport

    from ..report import Page, RecordFile

__all__ = ["report"]

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(short_help="Say what streams used and cost.")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@click.option("--by", default="model", show_default=True, help="Names to group by, with commas.")
@click.option("--since", help="From when: 7d, 12h, today, 2026-11-01, 2026-11-01T12:30.")
@click.option("--until", help="To when, the same way; what began then is left out.")
@click.option("--where", multiple=True, metavar="NAME=VALUE", help="Only these: tag:team=search.")
@click.option("--timezone", default="UTC", show_default=True, help="Of days and hours.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV instead.")
@click.option("--focus", is_flag=True, help="Print CSV in the columns of FOCUS 1.2 instead.")
@click.option("--parquet", type=_FILE, help="Write a Parquet file instead.")
@click.option("--html", type=_FILE, help="Write a page for a browser instead.")
def report(sources: tuple[str, ...], by: str, **asked: Any) -> None:
    """Say what streams used and cost, what cost most first.

    SOURCE is a file of JSON lines, - for standard input, or a ledger: the URL of one, or a file of
    SQLite; where none is named, the configured ledger. Group by model, response_model,
    deployment, provider, profile, endpoint, api, region, service_tier, outcome, source, tag:NAME,
    and month, day or hour of the beginning.

    p50 and p95 are the seconds to the first chunk that half of the streams, and 95 %, took at most.
    """
    from usagestream import ConfigError

    from ..report import Page

    formats = [name for name in ("as_json", "as_csv", "focus", "parquet", "html") if asked[name]]
    if len(formats) > 1:
        names = " and ".join(f"--{name.removeprefix('as_')}" for name in formats)
        raise click.UsageError(f"{names} do not go together.")
    try:
        made = _asked(by, asked)
        sources = sources or (configured("name a file of JSON lines or a ledger, as"),)
        if asked["focus"]:
            _print_focus(made, sources)
            return
        page = None if asked["html"] is None else Page(made)
        _fill(made, sources, page)
        _show(made, asked, page)
    except ConfigError as exc:
        raise click.ClickException(str(exc)) from exc


def _asked(by: str, asked: dict[str, Any]) -> UsageReport:
    from usagestream import ConfigError, UsageReport

    from ..report import moment, zone

    timezone = zone(asked["timezone"])
    since, until = (
        None if asked[name] is None else moment(asked[name], timezone)
        for name in ("since", "until")
    )
    if since is not None and until is not None and until <= since:
        raise ConfigError(f"--until {asked['until']} is not after --since {asked['since']}.")
    where: dict[str, set[str]] = {}
    for condition in asked["where"]:
        name, equals, value = condition.partition("=")
        if not equals:
            raise ConfigError(f"--where takes NAME=VALUE, as tag:team=search, unlike {condition!r}")
        where.setdefault(name.strip(), set()).add(value)
    names = [name.strip() for name in by.split(",") if name.strip()]
    return UsageReport(names, since=since, until=until, where=where, timezone=timezone)


def _fill(made: UsageReport, sources: Sequence[str], page: Page | None) -> None:
    for source in sources:
        if is_ledger(source):
            _fill_from_ledger(made, source, page)
            continue
        records = _file(source)
        for record in records:
            made.add(record)
            if page is not None:
                page.add(record)
        _say_junk(records)


def _fill_from_ledger(made: UsageReport, url: str, page: Page | None) -> None:
    with reading(ledger_url(url)) as reader:
        if page is not None:
            for tag in reader.tags():
                page.add_tag(f"tag:{tag}")
        reports = [made] if page is None else [made, *page.reports]
        read = reader.fill(reports, progress=_say_days)
    if read.open:
        say(f"{_streams(read.open)} no end yet, and {_are(read.open)} not in this.", err=True)
    if read.pruned_days:
        days = "1 day was" if read.pruned_days == 1 else f"{read.pruned_days} days were"
        say(f"{days} pruned: they can be reported by day in UTC, and are not in this.", err=True)


def _say_days(days: int) -> None:
    many = "1 day" if days == 1 else f"{days} days"
    say(f"Adding up {many} for this report and those to come...", err=True)


def _records(made: UsageReport, sources: Sequence[str]) -> Iterator[UsageRecord]:
    for source in sources:
        if is_ledger(source):
            with reading(ledger_url(source)) as reader:
                yield from reader.records(made)
        else:
            records = _file(source)
            yield from records
            _say_junk(records)


def _file(source: str) -> RecordFile:
    from usagestream import ConfigError

    from ..report import RecordFile

    path = Path(source)
    if source != "-" and (path.is_dir() or not path.exists()):
        what = f"{source} is a folder" if path.is_dir() else f"There is no file {source}"
        raise ConfigError(f"{what}. Name a file of JSON lines, or a ledger: sqlite:///usage.db.")
    return RecordFile(source)


def _streams(count: int) -> str:
    return "1 stream has" if count == 1 else f"{count:,} streams have"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _say_junk(record_file: RecordFile) -> None:
    junk = record_file.junk
    if junk.count:
        lines = "1 line is" if junk.count == 1 else f"{junk.count} lines are"
        say(f"{record_file.name}: {lines} no record; the first is line {junk.first}.", err=True)


def _print_focus(made: UsageReport, sources: Sequence[str]) -> None:
    from ..report import Focus, as_csv

    focus = Focus()
    for record in _records(made, sources):
        if made.add(record):
            focus.add(record)
    write(as_csv(focus.columns, focus.rows()))
    if focus.unpriced:
        say(f"{_streams(focus.unpriced)} no cost, and no row here.", err=True)


def _show(made: UsageReport, asked: dict[str, Any], page: Page | None) -> None:
    from ..report import as_csv, write_parquet

    if asked["as_json"]:
        lines = ",\n".join(map(json.dumps, made.rows()))  # not indented: much quicker
        say_json(f"[\n{lines}\n]" if lines else "[]")
    elif asked["as_csv"]:
        write(as_csv(made.columns, made.rows()))
    elif asked["parquet"] is not None:
        with _writing(asked["parquet"]):
            write_parquet(asked["parquet"], made.columns, made.rows())
    elif page is not None:
        with _writing(asked["html"]):
            asked["html"].write_text(page.html(), "utf-8")
    else:
        say(table(made, width=shutil.get_terminal_size().columns if is_terminal() else None))


@contextmanager
def _writing(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as exc:
        raise click.ClickException(f"{path} cannot be written: {exc.strerror}.") from exc
