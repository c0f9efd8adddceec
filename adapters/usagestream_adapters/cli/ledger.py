"""`usagestream ledger`: what is done with a ledger beside reporting of it."""

from __future__ import annotations

import click

from .prune import prune

__all__ = ["ledger"]


@click.group()
def ledger() -> None:
    """See to a ledger of streams."""


for command in (prune,):
    ledger.add_command(command)
