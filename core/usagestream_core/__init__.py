"""What all providers share, from the request to the record; no provider by name, and no SDK."""

from .chunk import Chunk, ToolCallDelta
from .client import AsyncClient, Client
from .errors import (
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    ConfigError,
    ContentFilterError,
    DeploymentNotFoundError,
    EventTooLargeError,
    NotAStreamError,
    NotFoundError,
    PermissionDeniedError,
    ProviderError,
    ProviderUnavailableError,
    RateLimitError,
    RecoveryError,
    StreamBusyError,
    StreamError,
    StreamFailedError,
    StreamInterruptedError,
    StreamNotEndedError,
    StreamTruncatedError,
    UntrustedProfileError,
    UsageLimitExceededError,
    UsageStreamError,
)
from .estimates.estimate import TokenCounter
from .profile import Profile
from .record import Outcome, RecordedError, UsageRecord
from .records.shutdown import exit_on_signals
from .records.sinks import JsonLinesSink
from .records.tags import usage_tags
from .records.totals import UsageTotal, track_usage
from .streams.protocols import AsyncUsageStream, UsageStream
from .usage import Usage, UsageSource

__all__ = [
    "AsyncClient",
    "AsyncUsageStream",
    "AuthenticationError",
    "BadRequestError",
    "Chunk",
    "Client",
    "ClientClosedError",
    "ConfigError",
    "ContentFilterError",
    "DeploymentNotFoundError",
    "EventTooLargeError",
    "JsonLinesSink",
    "NotAStreamError",
    "NotFoundError",
    "Outcome",
    "PermissionDeniedError",
    "Profile",
    "ProviderError",
    "ProviderUnavailableError",
    "RateLimitError",
    "RecordedError",
    "RecoveryError",
    "StreamBusyError",
    "StreamError",
    "StreamFailedError",
    "StreamInterruptedError",
    "StreamNotEndedError",
    "StreamTruncatedError",
    "TokenCounter",
    "ToolCallDelta",
    "UntrustedProfileError",
    "Usage",
    "UsageLimitExceededError",
    "UsageRecord",
    "UsageSource",
    "UsageStream",
    "UsageStreamError",
    "UsageTotal",
    "exit_on_signals",
    "track_usage",
    "usage_tags",
]
