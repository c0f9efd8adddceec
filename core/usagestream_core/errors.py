"""Everything that can go wrong, by whose fault it is.

UsageStreamError
├── ConfigError                      your configuration
│   └── UntrustedProfileError          a profile file that was found, and may not have your secrets
├── ProviderError                    no stream was opened
│   ├── AuthenticationError            the key or token was not accepted
│   ├── PermissionDeniedError          it was, and may not do this
│   ├── NotFoundError                  no such model or address
│   │   └── DeploymentNotFoundError      no such Azure deployment
│   ├── BadRequestError                your request
│   │   └── ContentFilterError           the prompt was filtered
│   ├── RateLimitError                 too much, too fast, or over quota
│   └── ProviderUnavailableError       the provider's fault, or the way to it
├── StreamError                      a stream was opened, and ended badly
│   ├── StreamTruncatedError           the body ended before the answer did
│   ├── StreamInterruptedError         the network broke
│   ├── StreamFailedError              the provider reported an error mid-stream
│   │   └── EventTooLargeError           it sent an event past the limit set for one
│   └── NotAStreamError                a 200 whose body is not an event stream
├── UsageLimitExceededError          your own limit stopped the stream
├── StreamNotEndedError              its record was asked for too early
├── StreamBusyError                  it is being read by somebody else
├── ClientClosedError                its client was closed before it was sent
└── RecoveryError                    what a stream used cannot be had afterwards

An exception of the SDK, of the HTTP client or of azure-core is always the `__cause__`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .record import UsageRecord, UsageRequest

__all__ = [
    "AuthenticationError",
    "BadRequestError",
    "ClientClosedError",
    "ConfigError",
    "ContentFilterError",
    "DeploymentNotFoundError",
    "EventTooLargeError",
    "NotAStreamError",
    "NotFoundError",
    "PermissionDeniedError",
    "ProviderError",
    "ProviderUnavailableError",
    "RateLimitError",
    "RecoveryError",
    "StreamBusyError",
    "StreamError",
    "StreamFailedError",
    "StreamInterruptedError",
    "StreamNotEndedError",
    "StreamTruncatedError",
    "UntrustedProfileError",
    "UsageLimitExceededError",
    "UsageStreamError",
]


class UsageStreamError(Exception):
    """Root of all errors raised by usagestream."""

    record: UsageRecord | None = None
    """The record of the stream this error ended; `None` if there was no stream."""


class ConfigError(UsageStreamError):
    """The configuration is wrong or incomplete. Raised before any request is sent."""


class UntrustedProfileError(ConfigError):
    """A profile file that was found, not named, would send secrets of yours to its own address.

    The message says which, and where to, and how to trust the file.
    """

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(message)
        self.path = path
        """The file."""


class ClientClosedError(UsageStreamError):
    """The client was closed, and can send nothing more. Raised before any request is sent."""

    def __init__(self) -> None:
        super().__init__("This client is closed: make a new one, or close it after its streams.")


class StreamBusyError(UsageStreamError):
    """Another thread or task is waiting for this stream's next chunk. The stream goes on."""

    def __init__(self) -> None:
        super().__init__(
            "Another thread or task is reading this stream: let one read it, and pass on chunks."
        )


class ProviderError(UsageStreamError):
    """The provider did not open a stream.

    `status` and `code` are `None` where there was no HTTP response or the body named none. `body`
    is the decoded error body (or its text), with known secrets masked.
    """

    usage_request: UsageRequest | None = None
    """Whether the refused request asked for usage; `None` where the adapter does not say."""
    reopenings: int = 0
    """How often the request was sent anew, changed, before this."""

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        status: int | None = None,
        code: str | None = None,
        request_ids: Mapping[str, str] | None = None,
        body: Any = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.status = status
        self.code = code
        self.request_ids = dict(request_ids or {})
        self.body = body
        self.retry_after = retry_after
        """Seconds the provider asks you to wait; `None` where it does not say."""


class AuthenticationError(ProviderError):
    """The key or token is missing, wrong, expired, or meant for another resource."""


class PermissionDeniedError(ProviderError):
    """The credential is valid but may not do this: a role, a network rule, a region."""


class NotFoundError(ProviderError):
    """There is no such model, or nothing at this address."""


class DeploymentNotFoundError(NotFoundError):
    """The Azure resource has no deployment of this name (yet)."""


class BadRequestError(ProviderError):
    """The provider will not accept this request as it is."""


class ContentFilterError(BadRequestError):
    """The provider's content filter blocked the prompt."""

    categories: Mapping[str, str] = MappingProxyType({})
    """Severity by category for which it was blocked, or `detected`; empty where that is not said.
    """


class RateLimitError(ProviderError):
    """Too many requests or tokens, or the quota is used up; `retry_after` says how long to wait."""


class ProviderUnavailableError(ProviderError):
    """The provider failed, was overloaded, or could not be reached, after the SDK's own retries."""


class StreamError(UsageStreamError):
    """A stream was opened and ended badly. `record` holds the usage known so far."""

    if TYPE_CHECKING:
        record: UsageRecord  # pyright: ignore[reportIncompatibleVariableOverride]
        """The record of the stream that this error ended."""


class StreamTruncatedError(StreamError):
    """The body ended cleanly, without a finish reason for every choice and without `[DONE]`."""


class StreamInterruptedError(StreamError):
    """The connection broke, or timed out, mid-stream."""


class StreamFailedError(StreamError):
    """The provider reported an error mid-stream, or sent a frame that cannot be read."""

    def __init__(self, message: str, *, code: str | None = None, body: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.body = body
        """The error as sent: usually a dict, sometimes a string."""


class EventTooLargeError(StreamFailedError):
    """The provider sent an event longer than the profile's `max_event_bytes`."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"One event is longer than {limit} bytes, the limit set for it (max_event_bytes).",
            code="event_too_large",
        )
        self.limit = limit
        """Bytes."""


class NotAStreamError(StreamError):
    """The provider answered 200 with something else: a JSON document, a login page."""

    def __init__(self, message: str, *, body: str, code: str | None = None) -> None:
        super().__init__(message)
        self.body = body
        """The beginning of the body."""
        self.code = code
        """The error code in it, where it is an error in JSON."""


class UsageLimitExceededError(UsageStreamError):
    """The output passed the `output_tokens_limit` that the caller set. `record` is the stream's."""

    if TYPE_CHECKING:
        record: UsageRecord  # pyright: ignore[reportIncompatibleVariableOverride]
        """The record of the stream that this error ended."""

    def __init__(self, limit: int, seen: int) -> None:
        super().__init__(
            f"The stream was stopped after some {seen} output tokens: the limit set for it is "
            f"{limit}."
        )
        self.limit = limit
        self.seen = seen
        """Output tokens counted when the limit was passed: an estimate."""


class StreamNotEndedError(UsageStreamError, AttributeError):
    """The record of a stream was asked for that has not ended, or was never sent.

    An `AttributeError` too, since `isinstance` asks a stream for its attributes on Python 3.11.
    """

    def __init__(self) -> None:
        super().__init__(
            "This stream has no record yet: read it to its end, or close it, and ask again. "
            "What is known meanwhile is in `usage`. A stream that never sent a request has none."
        )


class RecoveryError(UsageStreamError):
    """What a stream used cannot be had afterwards; the message says why. Nothing has changed."""
