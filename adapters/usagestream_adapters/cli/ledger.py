"""`usagestream ledger`: what is done with a ledger beside reporting of it."""

from __future__ import annotations

import click

from .kept import export, import_records, settle, status
from .prune import prune

__all__ = ["ledger"]


@click.group()
def ledger() -> None:
    """See to a ledger of streams."""


for command in (status, settle, import_records, export, prune):
    ledger.add_command(command)
