"""The provider `replay`: a program runs on cassettes by its configuration alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self

from pydantic import ConfigDict

from usagestream_core.adapter import Target
from usagestream_core.errors import ConfigError
from usagestream_core.profile import Profile

from ..sdk.adapter import SdkAdapter
from ..sdk.service import Service
from ._replay import Pace, Replay
from .faults import Fault

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

__all__ = ["ReplayAdapter", "ReplayProfile"]

_ASKED: Final[Mapping[str, Any]] = {"api_key": "replay", "base_url": "https://replay.invalid/v1"}


class ReplayProfile(Profile, frozen=True):
    """Answers from cassettes: nothing is sent, and no key is needed."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    provider: Literal["replay"] = "replay"
    cassettes: str | os.PathLike[str] | None = None
    """A cassette, or a folder of them; relative to the current folder. `USAGESTREAM_CASSETTES` if
    `None`."""
    pace: Pace = "at_once"
    """`recorded`: with the pauses that were recorded, where they were."""
    faults: tuple[Fault, ...] = ()
    """What goes wrong with every stream; only in code."""

    required_variables: ClassVar[tuple[str, ...]] = ("USAGESTREAM_CASSETTES",)
    variables: ClassVar[Mapping[str, str]] = {"cassettes": "USAGESTREAM_CASSETTES"}

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Make a profile of `USAGESTREAM_CASSETTES`."""
        profile = cls(name="replay").filled(environ)
        profile.path()
        return profile

    def foreign_addresses(self) -> Mapping[str, str]:
        """None: nothing is sent."""
        return {}

    def path(self) -> str:
        """Give where the cassettes are, or raise `ConfigError`."""
        if not self.cassettes:
            raise ConfigError(
                "There is nothing to replay: set USAGESTREAM_CASSETTES, or pass "
                "ReplayProfile(cassettes=...)."
            )
        return os.fspath(self.cassettes)


class ReplayAdapter(SdkAdapter):
    """Asks as OpenAI is asked, through the SDK, with `Replay` in the network's place."""

    provider: ClassVar[str] = "replay"
    profile_type: ClassVar[type[Profile]] = ReplayProfile

    def __init__(self, profile: ReplayProfile, *, http_client: object = None) -> None:
        if http_client is not None:
            raise ConfigError("A replay profile sends nothing: leave http_client out.")
        profile = profile.filled(os.environ)
        path = profile.path()
        replay = Replay(path, pace=profile.pace, faults=profile.faults)

        def client(options: dict[str, Any]) -> OpenAI:
            from openai import OpenAI

            return OpenAI(**_ASKED, **{**options, "http_client": replay.http_client()})

        def async_client(options: dict[str, Any]) -> AsyncOpenAI:
            from openai import AsyncOpenAI

            return AsyncOpenAI(**_ASKED, **{**options, "http_client": replay.async_http_client()})

        service = Service(
            name=self.provider,
            client=client,
            async_client=async_client,
            target=lambda model: Target(endpoint=path),  # every model is in the cassettes
        )
        super().__init__(profile, service)
