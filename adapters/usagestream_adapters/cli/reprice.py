"""`usagestream reprice`: records priced anew, on purpose."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .prices import price_list, say_no_records
from .screen import say, say_json

if TYPE_CHECKING:
    from usagestream import UsageRecord

__all__ = ["reprice"]

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(short_help="Price records anew.")
@click.argument("records", type=_FILE)
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="Leave those that began before.")
@click.option("--prices", "file", type=_FILE, help="A price file, in place of the configured one.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Where to write.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead.")
def reprice(
    records: Path, since: datetime | None, file: Path | None, output: Path | None, as_json: bool
) -> None:
    """Say what RECORDS, a file of JSON lines, would cost by today's list or by another file.

    Each record is priced as of the day it began. Nothing is changed, unless --output names another
    file: it gets all lines, with the new costs, the old ones beside them in `earlier_costs`.
    """
    from usagestream import CostTotal

    known = price_list(file)
    before, after = CostTotal(), CostTotal()
    changed = count = 0
    lines: list[bytes] = []
    start = None if since is None else since.replace(tzinfo=UTC)
    for line, old, new in _repriced(records, known, start):
        lines.append(line)
        if old is None or new is None:
            continue
        count += 1
        if new is not old:
            changed += 1
            before.add(old.cost)
            after.add(new.cost)
    if not count:
        say_no_records(records)
    if output is not None:
        _write(records, output, lines)
    sums = {"records": count, "changed": changed, "before": str(before), "after": str(after)}
    if as_json:
        say_json(json.dumps(sums, indent=2))
        return
    say(f"{changed} of {count} records cost something else.")
    if changed:
        say(f"before  {before}")
        say(f"after   {after}")


def _repriced(
    path: Path, known: object, start: datetime | None
) -> Iterator[tuple[bytes, UsageRecord | None, UsageRecord | None]]:
    """Each line as it is to be written, with its record before and after, where it is one."""
    from usagestream import UsageRecord
    from usagestream import reprice as price_anew

    with path.open("rb") as lines:
        for line in lines:
            try:
                old = UsageRecord.model_validate_json(line)
            except ValueError:
                yield line, None, None
                continue
            (new,) = price_anew([old], pricer=known, since=start)  # type: ignore[arg-type]
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
