"""Types of what a stream can be asked, for type checkers only.

The parameters of a request are the openai SDK's own, but that what holds messages takes plain
dicts, as people write them. The overriding that this takes is no error to whoever uses the type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, Literal, Required, TypedDict

    from openai.types.chat.completion_create_params import CompletionCreateParamsBase
    from openai.types.responses.response_create_params import ResponseCreateParamsBase

    from .state import OnLeave

    class StreamOptions(TypedDict, total=False):
        """What is for the stream itself and is not sent: the same for both APIs, sync and async."""

        tags: Mapping[str, str] | None
        """Copied to the record."""
        on_leave: OnLeave
        """What leaving early does: `close` (the default), or `drain`, which reads on to the
        provider's own figure; the provider goes on writing, and billing, meanwhile. On asyncio a
        consumer whose task is cancelled has left early."""
        drain_timeout: float | None
        """Seconds that draining may take; `None`: as long as it takes."""
        output_tokens_limit: int | None
        """Tokens of output, by an estimate, after which the stream is closed; `None`: no limit."""
        on_limit: Literal["raise", "stop"]
        """At the limit: raise `UsageLimitExceededError` (the default), or end quietly."""

    class SdkOptions(TypedDict, total=False):
        """What every method of the SDK that sends a request takes."""

        extra_headers: Mapping[str, str] | None
        extra_query: Mapping[str, object] | None
        extra_body: object | None
        timeout: float | None
        """Seconds between two reads; `None`: the profile's."""

    class ChatParams(StreamOptions, SdkOptions, CompletionCreateParamsBase, total=False):
        """The parameters of `chat.completions.create`, minus `stream`, with `StreamOptions`."""

        messages: Required[Iterable[Mapping[str, Any]]]  # type: ignore[misc]  # pyright: ignore[reportIncompatibleVariableOverride]

    class ResponseParams(StreamOptions, SdkOptions, ResponseCreateParamsBase, total=False):
        """The parameters of `responses.create`, minus `stream`, with `StreamOptions`."""

        input: str | Iterable[Mapping[str, Any]]  # type: ignore[misc]  # pyright: ignore[reportIncompatibleVariableOverride]
