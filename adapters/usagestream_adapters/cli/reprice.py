"""`usagestream reprice`: records priced anew, on purpose."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from .prices import price_list
from .screen import say, say_json
from .sources import (
    existing,
    is_ledger,
    ledger_records,
    ledger_url,
    opened,
    say_no_records,
)

if TYPE_CHECKING:
    from usagestream import PriceList, SqlLedger, UsageRecord

__all__ = ["reprice"]

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_AT_ONCE: Final = 1000
"""Records that are handed over before what was is waited for."""
_PATIENCE: Final = 60.0
"""Seconds that the ledger has to take them."""


@click.command(short_help="Price records anew.")
@click.argument("source")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DAY",
    help="Leave those that began before.",
)
@click.option("--prices", "file", type=_FILE, help="A price file, in place of the configured one.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write what is read from a file.",
)
@click.option("--dry-run", is_flag=True, help="Change nothing in a ledger.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead.")
def reprice(
    source: str,
    since: datetime | None,
    file: Path | None,
    output: Path | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Price records anew, by today's list or by another file, each as of the day it began.

    SOURCE is a ledger, whose records get the new costs, unless --dry-run; or a file of JSON lines,
    in which nothing is changed: --output names another, which gets all lines with the new costs.
    Old costs stay beside the new ones, in `earlier_costs`.
    """
    if output is not None and (dry_run or is_ledger(source)):
        raise click.UsageError("--output is for a file, without --dry-run.")
    known = price_list(file)
    start = None if since is None else since.replace(tzinfo=UTC)
    done = _Sums()
    if is_ledger(source):
        _reprice_ledger(ledger_url(source), known, start, done, dry_run=dry_run)
    else:
        _reprice_file(existing(source), output, known, start, done)
        if not done.count:
            say_no_records(source)
    done.show(as_json=as_json)


class _Sums:
    """What the records cost that cost something else now."""

    def __init__(self) -> None:
        from usagestream import CostTotal

        self.count = self.changed = 0
        self.before, self.after = CostTotal(), CostTotal()

    def add(self, old: UsageRecord, new: UsageRecord) -> None:
        self.count += 1
        if new is not old:
            self.changed += 1
            self.before.add(old.cost)
            self.after.add(new.cost)

    def show(self, *, as_json: bool) -> None:
        if as_json:
            sums = {"records": self.count, "changed": self.changed}
            costs = {"before": str(self.before), "after": str(self.after)}
            say_json(json.dumps({**sums, **costs}, indent=2))
            return
        say(f"{self.changed} of {self.count} records cost something else.")
        if self.changed:
            say(f"before  {self.before}")
            say(f"after   {self.after}")


def _reprice_ledger(
    url: str, known: PriceList, start: datetime | None, done: _Sums, *, dry_run: bool
) -> None:
    from usagestream import SqlLedger
    from usagestream import reprice as price_anew

    with opened(url) as reader, ExitStack() as stack:
        ledger = None if dry_run else stack.enter_context(SqlLedger(url))
        for old in ledger_records(reader, start):
            (new,) = price_anew([old], pricer=known)
            done.add(old, new)
            if new is not old and ledger is not None:
                ledger.replace(new)
                if done.changed % _AT_ONCE == 0:
                    _flush(ledger)
        if ledger is not None:
            _flush(ledger)


def _flush(ledger: SqlLedger) -> None:
    if not ledger.flush(_PATIENCE) or ledger.away is not None:
        raise click.ClickException(
            f"The ledger cannot be written to: {ledger.away or 'it takes too long'}. What is not "
            "there waits in its spool, or is left as it was: reprice again once it is back."
        )


def _reprice_file(
    path: Path, output: Path | None, known: PriceList, start: datetime | None, done: _Sums
) -> None:
    lines: list[bytes] = []
    for line, old, new in _repriced(path, known, start):
        if output is not None:
            lines.append(line)
        if old is not None and new is not None:
            done.add(old, new)
    if output is not None and (done.count or not lines):
        _write(path, output, lines)


def _repriced(
    path: Path, known: PriceList, start: datetime | None
) -> Iterator[tuple[bytes, UsageRecord | None, UsageRecord | None]]:
    """Each line as it is to be written, with its record before and after, where it is one."""
    from usagestream import reprice as price_anew
    from usagestream_core.records.record_lines import record_of_line

    with path.open("rb") as lines:
        for line in lines:
            old = record_of_line(line)
            if old is None:
                yield line, None, None
                continue
            (new,) = price_anew([old], pricer=known, since=start)
            yield (line if new is old else new.model_dump_json().encode() + b"\n"), old, new


def _write(records: Path, output: Path, lines: list[bytes]) -> None:
    """Write at once, or not at all."""
    if output.exists():
        same = " and a program may be adding to it" if output.samefile(records) else ""
        raise click.ClickException(f"{output} is there already{same}: name a new file.")
    part = output.with_name(f"{output.name}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.writelines(lines)
        part.replace(output)
    except OSError as exc:
        raise click.ClickException(f"{output} cannot be written: {exc.strerror}") from exc
