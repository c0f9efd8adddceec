"""Stream chat completions from OpenAI and Azure OpenAI; know what each used and cost."""

from .chunk import Chunk, ToolCallDelta
from .client import AsyncClient, Client
from .cost import Cost, LongContext, Price, Rates, cost_of
from .errors import (
    AuthenticationError,
    BadRequestError,
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
    StreamError,
    StreamFailedError,
    StreamInterruptedError,
    StreamNotEndedError,
    StreamTruncatedError,
    UsageLimitExceededError,
    UsageStreamError,
)
from .estimates.estimate import TokenCounter
from .pricing import Pricer, reprice
from .profile import Profile
from .record import Outcome, RecordedError, UsageRecord
from .records.shutdown import exit_on_signals
from .records.sinks import JsonLinesSink
from .records.totals import CostTotal, UsageTotal, track_usage
from .streams.protocols import AsyncUsageStream, UsageStream
from .usage import Usage, UsageSource

__all__ = [
    "AsyncClient",
    "AsyncUsageStream",
    "AuthenticationError",
    "BadRequestError",
    "Chunk",
    "Client",
    "ConfigError",
    "ContentFilterError",
    "Cost",
    "CostTotal",
    "DeploymentNotFoundError",
    "EventTooLargeError",
    "JsonLinesSink",
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
    "StreamError",
    "StreamFailedError",
    "StreamInterruptedError",
    "StreamNotEndedError",
    "StreamTruncatedError",
    "TokenCounter",
    "ToolCallDelta",
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
]
