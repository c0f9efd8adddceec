"""What a command does that serves until it is interrupted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from .screen import say

if TYPE_CHECKING:
    from ..local.service import LocalService

__all__ = ["serve_until_interrupted"]


def serve_until_interrupted(server: LocalService, host: str, port: int) -> None:
    """Serve, and say where; or say why that cannot be."""
    try:
        server.serve_forever(_show_addresses)
    except OSError as exc:
        reason = str(exc.strerror or exc).partition(" (while ")[0]
        if exc.errno and exc.errno > 0:  # below are those of names that lead nowhere
            reason = os.strerror(exc.errno)
        raise click.ClickException(
            f"Cannot listen on {host}:{port}: {reason}. Choose another --port, or 0 for any, or an "
            "address of this machine as --host."
        ) from exc


def _show_addresses(server: LocalService) -> None:
    """Print the addresses as lines that a shell takes; keys too, so that no real one is sent."""
    say(f"export OPENAI_BASE_URL={server.openai_base_url} OPENAI_API_KEY=any")
    say(f"export AZURE_OPENAI_ENDPOINT={server.azure_endpoint} AZURE_OPENAI_API_KEY=any")
    say("Any key will do. Press Ctrl-C to stop.", err=True)
