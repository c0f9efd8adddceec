"""Stream chat completions from OpenAI and Azure OpenAI; know what each cost in tokens."""

from .chunk import Chunk, ToolCallDelta
from .client import AsyncClient, Client
from .config import Profile
from .errors import (
    AuthenticationError,
    BadRequestError,
    ConfigError,
    ContentFilterError,
    DeploymentNotFoundError,
    NotAStreamError,
    NotFoundError,
    PermissionDeniedError,
    ProviderError,
    ProviderUnavailableError,
    RateLimitError,
    StreamError,
    StreamFailedError,
    StreamInterruptedError,
    StreamTruncatedError,
    UsageStreamError,
)
from .record import Outcome, RecordedError, UsageRecord
from .stream import AsyncUsageStream, UsageStream
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
    "DeploymentNotFoundError",
    "NotAStreamError",
    "NotFoundError",
    "Outcome",
    "PermissionDeniedError",
    "Profile",
    "ProviderError",
    "ProviderUnavailableError",
    "RateLimitError",
    "RecordedError",
    "StreamError",
    "StreamFailedError",
    "StreamInterruptedError",
    "StreamTruncatedError",
    "ToolCallDelta",
    "Usage",
    "UsageRecord",
    "UsageSource",
    "UsageStream",
    "UsageStreamError",
]
