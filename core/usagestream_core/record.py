"""The accounting record: one for each stream, however it ended."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from pydantic import Field

from ._described import Described
from .cost import Cost, Scope
from .usage import Usage

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Protocol

    class Recoverer(Protocol):
        """A `Client`, as far as a record needs one."""

        def recover(
            self, record: UsageRecord, *, cancel: bool = False, timeout: float = 0.0
        ) -> UsageRecord: ...

    class AsyncRecoverer(Protocol):
        """An `AsyncClient`, as far as a record needs one."""

        def recover(
            self, record: UsageRecord, *, cancel: bool = False, timeout: float = 0.0
        ) -> Awaitable[UsageRecord]: ...


__all__ = ["Api", "Outcome", "RecordedError", "UsageRecord", "UsageRequest"]

Api: TypeAlias = Literal["chat", "responses"]
"""Chat completions, or the Responses API."""

UsageRequest: TypeAlias = Literal["asked", "refused", "not_asked"]
"""Whether the provider was asked to report usage: it was; it refused to be, now or before; or it
was not, because the profile says so or the surface is known to refuse."""


class Outcome(StrEnum):
    """How a stream ended."""

    COMPLETED = "completed"
    """Read to its end, and the end was there: a finish reason for every choice, or `[DONE]`. Also
    left after the last finish reason, with nothing but the usage to come."""
    TRUNCATED = "truncated"
    """The body ended, or the connection broke, before the answer did."""
    FAILED = "failed"
    """The provider reported an error mid-stream, or its 200 was not a stream."""
    CLOSED = "closed"
    """The consumer left early: `break`, `close()`, an exception in its own code, a limit it set."""
    CANCELLED = "cancelled"
    """The consumer's task was cancelled, or the program interrupted."""
    ABANDONED = "abandoned"
    """The consumer dropped the stream without closing it, or the interpreter ended."""
    REJECTED = "rejected"
    """No stream was opened: the provider refused, or could not be reached."""


class RecordedError(Described, frozen=True):
    """What went wrong, without secrets."""

    type: str
    """Class name of the exception."""
    message: str | None = None
    """`None` for an exception of the consumer's own code, whose text is not ours to keep."""
    status: int | None = None
    """HTTP status, where there was a response."""
    code: str | None = None
    """The provider's error code."""


class UsageRecord(Described, frozen=True):
    """Who streamed what and when, how it ended, what it used, in tokens, and what it cost.

    Frozen; `model_dump_json` and `model_validate_json` round-trip. Holds no key, no token and no
    text of the conversation. Times are aware datetimes in UTC; intervals between them were measured
    with a monotonic clock.
    """

    id: str = Field(default_factory=lambda: uuid.uuid4().hex)
    """Unique for each record, made here: safe to store under and to drop duplicates by."""
    version: int = Field(default=1, repr=False)
    """Of a record's JSON. It stays as long as fields are only added, each with a default, so that
    what was written before can be read."""
    api: Api = "chat"
    """`chat` for chat completions, `responses` for the Responses API."""
    provider: str
    """Name of the adapter: `openai`, `azure`."""
    profile: str | None = None
    """Name of the profile in use; `None` for one that has no name."""
    endpoint: str | None = None
    """Host (and port) the request went to."""
    model: str
    """The model the caller asked for."""
    deployment: str | None = None
    """The deployment that name stood for; `None` where the provider has none."""
    response_model: str | None = None
    """The model that answered, as the provider names it; `None` where it never said."""
    response_id: str | None = None
    """The provider's id of the answer: what `recover` asks for."""
    request_ids: dict[str, str] = Field(default_factory=dict[str, str])
    """Ids to quote to the provider's support, by response header name: `x-request-id`, and
    Azure's `apim-request-id`."""
    spillover: dict[str, str] = Field(default_factory=dict[str, str])
    """Azure's headers about a request that another deployment served; empty otherwise."""
    usage_request: UsageRequest | None = None
    """`None` where no request was sent, where usage need not be asked for (the Responses API), or
    by an adapter that does not say."""
    reopenings: int = 0
    """How often the request was sent anew without what was refused: the option that asks for
    usage, or an expired token. The SDK's own retries are not counted."""
    usage_hidden: bool = False
    """Whether `track` asked for the usage, and took it out of what the caller got."""
    streamed: bool | None = None
    """Whether a stream was asked for; `None` in a record that was written before it was kept."""
    service_tier: str | None = None
    """The tier that served the request, which may differ from the one asked for."""
    service_tier_asked: str | None = None
    """The tier that the caller asked for; `None` where none was named."""
    region: str | None = None
    """Where Azure answered, as its header `x-ms-region` says: `East US 2` (WIRE §2.6)."""
    scope: Scope | None = None
    """What kind of deployment the profile says it is; `None` where it does not say."""
    provisioned: bool = False
    """Whether the profile says that the deployment is paid for by the hour."""

    outcome: Outcome
    """How the stream ended."""
    finish_reasons: dict[int, str] = Field(default_factory=dict[int, str])
    """Finish reason by choice index; choices that did not finish are absent."""
    error: RecordedError | None = None
    """What ended the stream badly; `None` where nothing did."""
    reason: str | None = None
    """What ended the stream where the outcome does not say it: `output_tokens_limit`, `drained`
    (left early, and then read to its end), `drain_timeout`, `client_closed` (before it was read to
    its end), `exit` (of the interpreter)."""

    started_at: datetime
    """When the request was sent."""
    first_chunk_at: datetime | None = None
    """When the first chunk arrived; `None` if none did."""
    ended_at: datetime
    """When nothing more was read, or was to come."""
    chunk_count: int = 0
    """Chunks made from what was received, the last one included."""

    usage: Usage
    """Tokens; `source` says whether they were reported, estimated, or are unknown."""
    wire_usage: dict[str, Any] | None = None
    """The provider's own last usage object, untouched."""
    anomalies: tuple[str, ...] = ()
    """What the provider reported oddly, and what does not add up: `usage.anomalies()`."""
    cost: Cost | None = None
    """What it cost, at the price of the day it began. `None` where no price or no count is known,
    and never 0 for that."""
    earlier_costs: tuple[Cost, ...] = ()
    """What `cost` was before it was worked out anew, the oldest first: see `reprice`."""
    failed_parts: tuple[str, ...] = ()
    """Fields that could not be made when the stream ended, for a fault that was logged: they have
    their default, or for `usage` what was reported. Normally empty."""
    recovered: bool = False
    """Whether the provider was asked again after the stream had ended: see `recover`."""
    tags: dict[str, str] = Field(default_factory=dict[str, str])
    """What the caller attached to the stream."""

    @overload
    def recover(
        self, client: Recoverer, *, cancel: bool = False, timeout: float = 0.0
    ) -> UsageRecord: ...
    @overload
    def recover(
        self, client: AsyncRecoverer, *, cancel: bool = False, timeout: float = 0.0
    ) -> Awaitable[UsageRecord]: ...
    def recover(
        self, client: Recoverer | AsyncRecoverer, *, cancel: bool = False, timeout: float = 0.0
    ) -> UsageRecord | Awaitable[UsageRecord]:
        """Ask the provider for the usage of an answer that it kept; to be awaited if async.

        Gives this record, under the same id, with the reported usage in place of an estimate or of
        nothing. Where the usage was reported already, nothing is asked; where the provider has the
        answer and reports no usage, `usage` stays as it was. `client` is of the profile that the
        stream was made with. `on_record` is not called.

        An answer that is still being written is waited for, `timeout` seconds at most, or, with
        `cancel`, stopped: OpenAI is known to report no usage then (WIRE §4).

        Raises `RecoveryError` where there is no id, where the answer was not kept, or where it is
        still being written when the time is up; `ProviderError` where the provider refuses.
        """
        return client.recover(self, cancel=cancel, timeout=timeout)

    @property
    def duration(self) -> float:
        """Seconds from the request to the end."""
        return (self.ended_at - self.started_at).total_seconds()

    @property
    def time_to_first_chunk(self) -> float | None:
        """Seconds from the request to the first chunk; `None` if there was no chunk."""
        if self.first_chunk_at is None:
            return None
        return (self.first_chunk_at - self.started_at).total_seconds()
