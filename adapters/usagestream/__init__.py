"""Stream chat completions from OpenAI and Azure OpenAI; know what each used and cost.

The door: every name that a program imports. What talks to the outside is loaded when it is first
named, so that `from usagestream import Client` imports no adapter and no SDK. Who writes an adapter
of their own imports `usagestream_core`.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

import usagestream_core as _core
from usagestream_core import (
    AsyncClient,
    AsyncUsageStream,
    AuthenticationError,
    BadRequestError,
    Begun,
    Chunk,
    Client,
    ClientClosedError,
    ConfigError,
    ContentFilterError,
    Cost,
    CostTotal,
    DeploymentNotFoundError,
    EventTooLargeError,
    JsonLinesSink,
    Ledger,
    LongContext,
    NotAStreamError,
    NotFoundError,
    Outcome,
    PermissionDeniedError,
    Price,
    Pricer,
    Profile,
    ProviderError,
    ProviderUnavailableError,
    RateLimitError,
    Rates,
    RecordedError,
    RecoveryError,
    StdoutSink,
    StreamBusyError,
    StreamError,
    StreamFailedError,
    StreamInterruptedError,
    StreamNotEndedError,
    StreamTruncatedError,
    TokenCounter,
    ToolCallDelta,
    UntrustedProfileError,
    Usage,
    UsageLimitExceededError,
    UsageRecord,
    UsageSource,
    UsageStream,
    UsageStreamError,
    UsageTotal,
    cost_of,
    exit_on_signals,
    reprice,
    track_usage,
    usage_tags,
)

if TYPE_CHECKING:
    from usagestream_adapters.azure import AzureProfile
    from usagestream_adapters.emulator import Emulator, Scenario, scenarios
    from usagestream_adapters.ledger import SqlLedger
    from usagestream_adapters.openai import OpenAIProfile
    from usagestream_adapters.prices import PriceList
    from usagestream_adapters.replay import (
        Recorder,
        Replay,
        ReplayProfile,
        ReplayServer,
        faults,
    )
    from usagestream_adapters.telemetry.log import LogSink
    from usagestream_adapters.telemetry.otel import OpenTelemetrySink
    from usagestream_adapters.track import meter, track
    from usagestream_core.records.report import ReportLine, UsageReport

    __version__: str

__all__ = [  # noqa: RUF022 - in the order a reader needs them
    # doing
    "Client",
    "AsyncClient",
    "track",
    "meter",
    "track_usage",
    "usage_tags",
    "exit_on_signals",
    # who is asked, and with whose credentials
    "Profile",
    "OpenAIProfile",
    "AzureProfile",
    # what a stream is and gives
    "UsageStream",
    "AsyncUsageStream",
    "Chunk",
    "ToolCallDelta",
    "Usage",
    "UsageSource",
    "UsageRecord",
    "RecordedError",
    "Outcome",
    "UsageTotal",
    "TokenCounter",
    # what it costs
    "Cost",
    "CostTotal",
    "Price",
    "Rates",
    "LongContext",
    "cost_of",
    "Pricer",
    "PriceList",
    "reprice",
    "UsageReport",
    "ReportLine",
    # where records go
    "Ledger",
    "Begun",
    "SqlLedger",
    "JsonLinesSink",
    "StdoutSink",
    "OpenTelemetrySink",
    "LogSink",
    # without a network
    "Emulator",
    "Scenario",
    "scenarios",
    "Recorder",
    "Replay",
    "ReplayProfile",
    "ReplayServer",
    "faults",
    # what can go wrong, by whose fault it is
    "UsageStreamError",
    "ClientClosedError",
    "ConfigError",
    "UntrustedProfileError",
    "ProviderError",
    "AuthenticationError",
    "PermissionDeniedError",
    "NotFoundError",
    "DeploymentNotFoundError",
    "BadRequestError",
    "ContentFilterError",
    "RateLimitError",
    "ProviderUnavailableError",
    "StreamError",
    "StreamTruncatedError",
    "StreamInterruptedError",
    "StreamBusyError",
    "StreamNotEndedError",
    "StreamFailedError",
    "EventTooLargeError",
    "NotAStreamError",
    "UsageLimitExceededError",
    "RecoveryError",
    # this package
    "__version__",
]

_LATE = {
    "AzureProfile": "adapters.azure",
    "Emulator": "adapters.emulator",
    "LogSink": "adapters.telemetry.log",
    "OpenAIProfile": "adapters.openai",
    "OpenTelemetrySink": "adapters.telemetry.otel",
    "PriceList": "adapters.prices",
    "Recorder": "adapters.replay",
    "Scenario": "adapters.emulator",
    "SqlLedger": "adapters.ledger",
    "faults": "adapters.replay",
    "scenarios": "adapters.emulator",
    "Replay": "adapters.replay",
    "ReplayProfile": "adapters.replay",
    "ReplayServer": "adapters.replay",
    "UsageReport": "core.records.report",
    "ReportLine": "core.records.report",
    "meter": "adapters.track",
    "track": "adapters.track",
}
"""Where the names live that are imported on first use: after `usagestream_`."""


def _at_home(value: object) -> object:
    """Let a class or function say, in reprs and pickles, that it is imported from here."""
    if not isinstance(value, ModuleType):
        value.__module__ = __name__
    return value


def _bring_home() -> None:
    for name in _core.__all__:
        _at_home(getattr(_core, name))


_bring_home()


if not TYPE_CHECKING:  # a checker is to find names that are not there

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version

            value: object = version("usagestream")
        elif name in _LATE:
            value = _at_home(getattr(import_module(f"usagestream_{_LATE[name]}"), name))
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
