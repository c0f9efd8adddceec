"""What is configured: the environment and the profile file, looked at once for all who ask."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from .file import ProfileFile, find_file

__all__ = ["Configuration"]


@dataclass(frozen=True)
class Configuration:
    """One look at what is configured, passed on by whoever makes a client to all that it asks.

    The file is looked for when it is first asked for, so that a program that says everything in
    code needs none.
    """

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    start: Path | None = None
    """The folder where the search for the file begins; the current one if `None`."""

    @cached_property
    def file(self) -> ProfileFile | None:
        """The profile file in force, or `None`. Raises `ConfigError` as `find_file` does."""
        return find_file(self.environ, self.start)
