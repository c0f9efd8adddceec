"""The command, one file for each of its commands; it shows what others do."""

from .command import main

__all__ = ["main"]
