"""`usagestream ledger`: what is done with a ledger beside reporting of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .screen import say

if TYPE_CHECKING:
    from collections.abc import Generator
    from contextlib import AbstractContextManager

    from ..ledger import LedgerReader

__all__ = ["ledger", "reading"]


@click.group()
def ledger() -> None:
    """See to a ledger of streams."""


@ledger.command()
@click.argument("url", required=False)
@click.option("--before", required=True, help="From when on all is kept: 90d, 2026-08-01.")
def prune(url: str | None, before: str) -> None:
    """Delete the streams that began before a day (UTC), one day after the other.

    URL is as sqlite:///usage.db; the configured ledger where none is named. What is left of those
    days is what each of them comes to, by all that reports group by but hours: reports of them by
    day, model and tag say what they said before. It can be stopped, and begun again.
    """
    from datetime import UTC

    from usagestream import ConfigError

    from ..report import moment

    done = gone = 0
    try:
        start = moment(before, UTC)
        with reading(url) as reader:
            for done, gone in reader.prune(start):
                say(f"{done} days, {gone:,} streams", err=True)
    except ConfigError as exc:
        raise click.ClickException(str(exc)) from exc
    streams = "1 stream is" if gone == 1 else f"{gone:,} streams are"
    say(f"{streams} gone, of {done} days; what each of them came to is kept.")


def reading(url: str | None) -> AbstractContextManager[LedgerReader]:
    """The ledger of a URL, or the configured one. Raises `ConfigError` where there is none."""
    from contextlib import contextmanager

    from usagestream import ConfigError

    @contextmanager
    def opened(url: str) -> Generator[LedgerReader]:
        try:
            from ..ledger import LedgerReader
        except ImportError as exc:  # pragma: no cover - the tests have SQLAlchemy
            raise ConfigError(str(exc)) from exc
        reader = LedgerReader(url)
        try:
            yield reader
        finally:
            reader.close()

    if url is None:
        raise ConfigError("Name a ledger, as sqlite:///usage.db.")
    return opened(url)
