"""What a command says that serves until it is interrupted."""

from __future__ import annotations

from typing import Protocol

import click

__all__ = ["show_addresses"]


class _Serves(Protocol):
    @property
    def openai_base_url(self) -> str: ...
    @property
    def azure_endpoint(self) -> str: ...


def show_addresses(server: _Serves) -> None:
    """Print the addresses as variables to set."""
    click.echo(f"OPENAI_BASE_URL={server.openai_base_url}")
    click.echo(f"AZURE_OPENAI_ENDPOINT={server.azure_endpoint}")
    click.echo("Any key will do. Press Ctrl-C to stop.", err=True)
