"""What all providers share, from the request to the record; no provider by name, and no SDK."""

from .chunk import Chunk, ToolCallDelta
from .client import AsyncClient, Client
from .cost import Cost, LongContext, Price, Rates, cost_of
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
from .pricing import Pricer, reprice
from .profile import Profile
from .record import Outcome, RecordedError, UsageRecord
from .records.ledger import Begun, Ledger
from .records.shutdown import exit_on_signals
from .records.sinks import JsonLinesSink, StdoutSink
from .records.tags import usage_tags
from .records.totals import CostTotal, UsageTotal, track_usage
from .streams.protocols import AsyncUsageStream, UsageStream
from .usage import Usage, UsageSource

__all__ = [
    "AsyncClient",
    "AsyncUsageStream",
    "AuthenticationError",
    "BadRequestError",
    "Begun",
    "Chunk",
    "Client",
    "ClientClosedError",
    "ConfigError",
    "ContentFilterError",
    "Cost",
    "CostTotal",
    "DeploymentNotFoundError",
    "EventTooLargeError",
    "JsonLinesSink",
    "Ledger",
    "LongContext",
    "NotAStreamError",
    "NotFoundError",
    "Outcome",
    "PermissionDeniedError",
    "Price",
    "Pricer",
    "Profile",
    "ProviderError",
    "ProviderUnavailableError",
    "RateLimitError",
    "Rates",
    "RecordedError",
    "RecoveryError",
    "StdoutSink",
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
    "cost_of",
    "exit_on_signals",
    "reprice",
    "track_usage",
    "usage_tags",
]
