"""Profiles: which provider, where, and with whose credentials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["IncludeUsage", "Profile"]

IncludeUsage = Literal["auto", "always", "never"]


class Profile(BaseModel, frozen=True):
    """What every provider's profile has. Each adapter exports a subclass with its own fields."""

    model_config = ConfigDict(extra="forbid")

    provider: str
    """Name of the adapter; fixed by each subclass."""
    name: str | None = None
    """What records call this profile."""
    timeout: float | None = Field(default=None, gt=0)
    """Seconds to wait for the provider to send something. `None`: the SDK's default, 600."""
    max_retries: int = Field(default=2, ge=0)
    """Retries before the first byte, made by the SDK. Nothing is retried after it."""
    include_usage: IncludeUsage = "auto"
    """Whether to ask for usage: wherever it is accepted (`auto`), `always`, or `never`."""

    max_event_bytes: int = Field(default=16 * 1024 * 1024, gt=0)
    """The longest event that is waited for, in bytes: a second of audio is some 64 KB. A longer one
    ends the stream with `EventTooLargeError`."""

    required_variables: ClassVar[tuple[str, ...]] = ()
    """Environment variables without which a profile cannot be made of the environment alone."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Make a profile of the variables that the provider's own SDK reads.

        Raises `ConfigError` where `required_variables` are missing, naming them.
        """
        raise NotImplementedError
