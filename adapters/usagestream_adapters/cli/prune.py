"""`usagestream ledger prune`; and opening a ledger to read it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from .screen import say

if TYPE_CHECKING:
    from collections.abc import Generator

    from ..ledger import LedgerReader

__all__ = ["configured", "prune", "reading"]


@click.command(short_help="Delete old streams, keep their daily sums.")
@click.option("--ledger", "url", help="Its URL; the configured one where none is named.")
@click.option("--before", required=True, help="From when on all is kept: 90d, 2026-08-01.")
def prune(url: str | None, before: str) -> None:
    """Delete the streams that began before a day (UTC), one day after the other.

    What is left of those days is what each of them comes to, by all that reports group by but
    hours: reports of them by day, model and tag say what they said before. It can be stopped, and
    begun again.
    """
    from datetime import UTC

    from usagestream import ConfigError

    from ..report import moment

    done = gone = 0
    try:
        start = moment(before, UTC)
        with reading(url or configured()) as reader:
            for done, gone in reader.prune(start):
                say(f"{_days(done)}, {gone:,} streams", err=True)
    except ConfigError as exc:
        raise click.ClickException(str(exc)) from exc
    streams = "1 stream is" if gone == 1 else f"{gone:,} streams are"
    say(f"{streams} gone, of {_days(done)}; what each of them came to is kept.")


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"


def configured(otherwise: str = "name one, as") -> str:
    """The URL of the configured ledger. Raises `ConfigError` where there is none."""
    from usagestream import ConfigError
    from usagestream_core.profiles.ledgers import configured_ledger_url

    url, _ = configured_ledger_url()
    if url is None:
        raise ConfigError(
            f"No ledger is named, and none is configured: {otherwise} sqlite:///usage.db, or set "
            "USAGESTREAM_LEDGER."
        )
    return url


@contextmanager
def reading(url: str) -> Generator[LedgerReader]:
    """The ledger of a URL. Raises `ConfigError` where it cannot be read."""
    from usagestream import ConfigError

    try:
        from ..ledger import LedgerReader
    except ImportError as exc:
        raise ConfigError(str(exc)) from exc
    reader = LedgerReader(url)
    try:
        yield reader
    finally:
        reader.close()
