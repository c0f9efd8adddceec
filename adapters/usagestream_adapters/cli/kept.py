"""`usagestream ledger status`, `settle`, `import` and `export`: what is in a ledger."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .prune import configured
from .screen import lay_out, say, say_json

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import ModuleType

    from usagestream import UsageRecord

__all__ = ["export", "import_records", "settle", "status"]

_FILE = click.Path(dir_okay=False, path_type=Path)
_EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
_URL = click.option("--ledger", "url", help="Its URL; the configured one where none is named.")


@click.command(short_help="Say how a ledger stands.")
@_URL
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead.")
def status(url: str | None, as_json: bool) -> None:
    """Say how a ledger stands, and what waits for it on this machine; nothing is changed.

    Exits with 1 where its database is away.
    """
    with _room(url) as (room, named):
        found = room.status(named)
    if as_json:
        say_json(json.dumps(dataclasses.asdict(found), indent=2, default=str))
        raise SystemExit(0 if found.away is None else 1)
    rows = [["ledger", found.ledger]]
    if found.away is None:
        began = "" if found.oldest_open is None else f", the oldest since {found.oldest_open}"
        rows += [
            ["ended", f"{found.ended:,}"],
            ["lost", f"{found.lost:,}, of processes that were killed"],
            ["open", f"{found.open:,}{began}"],
            ["processes", f"{found.processes:,}"],
        ]
    else:
        rows.append(["away", found.away])
    waits = f"{found.spooled:,}, in {found.spool_bytes:,} of {found.spool_limit:,} bytes"
    rows += [["spool", found.spool], ["waiting", waits]]
    say(lay_out(rows))
    raise SystemExit(0 if found.away is None else 1)


@click.command(short_help="Settle streams of processes that are gone.")
@_URL
def settle(url: str | None) -> None:
    """Settle the open streams of processes that are gone, as every process does that opens it.

    They get the outcome abandoned, the reason killed, and an unknown usage.
    """
    with _room(url) as (room, named):
        ids = room.settled(named)
    say("1 stream was settled." if len(ids) == 1 else f"{len(ids):,} streams were settled.")


@click.command("import", short_help="Put in the records of JSON lines.")
@click.argument("files", nargs=-1, required=True, type=_EXISTING)
@_URL
def import_records(files: tuple[Path, ...], url: str | None) -> None:
    """Put the records of FILES of JSON lines into a ledger. Those that it has stay as they are."""
    from usagestream import JsonLinesSink

    def records() -> Iterator[UsageRecord]:
        for file in files:
            yield from JsonLinesSink.read(file)

    with _room(url) as (room, named):
        count = room.imported(named, records())
    say("1 record is in the ledger." if count == 1 else f"{count:,} records are in the ledger.")


@click.command(short_help="Write its records as JSON lines.")
@_URL
@click.option("--output", type=_FILE, help="A new file, in place of standard output.")
def export(url: str | None, output: Path | None) -> None:
    """Write the records of a ledger as JSON lines, the oldest first.

    Those of streams that are open are left out.
    """
    with _room(url) as (room, named):
        lines: Iterator[str] = room.exported(named)
        if output is None:
            for line in lines:
                say_json(line)
            return
        count = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            with os.fdopen(os.open(output, flags, 0o600), "w", encoding="utf-8") as file:
                for line in lines:
                    file.write(f"{line}\n")
                    count += 1
        except FileExistsError as exc:
            raise click.ClickException(f"{output} is there already: name a new file.") from exc
    say(f"{count:,} records are in {output}.")


@contextmanager
def _room(url: str | None) -> Generator[tuple[ModuleType, str]]:
    """The room that does it, and the URL that is meant."""
    from usagestream import ConfigError

    try:
        named = url or configured()
        from usagestream_adapters import ledger as room

        yield room, named
    except (ConfigError, ImportError) as exc:
        raise click.ClickException(str(exc)) from exc
