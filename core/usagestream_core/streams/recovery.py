"""Asking afterwards what a stream used, where the provider has kept the answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from ..adapter import Retrieved, Retriever, RetrieveRequest
from ..errors import NotFoundError, RecoveryError
from ..masking import Mask
from ..usage import Usage, UsageSource
from .parts import Parts

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..adapter import Adapter
    from ..pricing import CostOf
    from ..record import UsageRecord

__all__ = ["arecover", "recover"]

_RUNNING: Final = ("queued", "in_progress")
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 5.0


def recover(
    adapter: Adapter,
    record: UsageRecord,
    *,
    cancel: bool,
    timeout: float,
    costs: CostOf | None = None,
) -> UsageRecord:
    """Give the record with the usage that the provider reports for it now.

    See `UsageRecord.recover` for what this does and raises.
    """
    if record.usage.source is UsageSource.REPORTED:
        return record
    attempts = _Attempts(adapter, record, cancel, timeout)
    while True:
        try:
            found = attempts.retriever.retrieve(attempts.next())
        except NotFoundError as exc:
            raise attempts.not_kept(exc) from exc
        if attempts.finished(found):
            return _settled(record, found, costs, attempts.mask)


async def arecover(
    adapter: Adapter,
    record: UsageRecord,
    *,
    cancel: bool,
    timeout: float,  # noqa: ASYNC109 - polling, which no cancel scope does
    costs: CostOf | None = None,
) -> UsageRecord:
    """`recover` for async code."""
    if record.usage.source is UsageSource.REPORTED:
        return record
    attempts = _Attempts(adapter, record, cancel, timeout)
    while True:
        try:
            found = await attempts.retriever.aretrieve(attempts.next())
        except NotFoundError as exc:
            raise attempts.not_kept(exc) from exc
        if attempts.finished(found):
            return _settled(record, found, costs, attempts.mask)


class _Attempts:
    """Asking for one response until it is finished, or time is up."""

    def __init__(self, adapter: Adapter, record: UsageRecord, cancel: bool, timeout: float) -> None:
        if record.response_id is None:
            raise RecoveryError(
                "This stream cannot be recovered: it ended before the provider gave it an id."
            )
        if cancel and record.api == "chat":
            raise RecoveryError("A chat completion cannot be cancelled, only a response can.")
        if not isinstance(adapter, Retriever):
            raise RecoveryError(
                f"The adapter {adapter.provider!r} cannot ask for an answer after its stream."
            )
        endpoint = adapter.target(record.model).endpoint
        if record.endpoint and record.endpoint != endpoint:
            raise RecoveryError(
                f"This stream was answered by {record.endpoint}, and this client asks {endpoint}: "
                "recover it with a client of the profile that it was made with."
            )
        self.retriever: Retriever = adapter
        secrets: Callable[[], tuple[str, ...]] = getattr(adapter, "secrets", tuple)
        self.mask = Mask.of(secrets())
        self._record = record
        self._response_id = record.response_id
        self._cancel = cancel
        self._deadline = time.monotonic() + timeout
        self._pause = 0.0

    def next(self) -> RetrieveRequest:
        """What to ask for now. To cancel is asked once."""
        cancel, self._cancel = self._cancel, False
        return RetrieveRequest(
            api=self._record.api,
            response_id=self._response_id,
            cancel=cancel,
            after=self._pause,
        )

    def finished(self, found: Retrieved) -> bool:
        """Whether nothing more will be counted. Raises `RecoveryError` if that takes too long."""
        if found.status not in _RUNNING:
            return True
        self._pause = min(max(_FIRST_PAUSE, self._pause * 2), _LONGEST_PAUSE)
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise RecoveryError(
                f"The response {self._response_id} is still {found.status!r}, and costs more every "
                "moment: recover it later, give a timeout to wait for it, or cancel it."
            )
        self._pause = min(self._pause, left)
        return False

    def not_kept(self, exc: NotFoundError) -> RecoveryError:
        """Put in words that the provider has no such answer."""
        return RecoveryError(
            f"{exc.provider} has no answer {self._response_id}: it keeps those asked for with "
            "store=True, which is the default for responses and not for chat completions, for some "
            "time."
        )


def _settled(
    record: UsageRecord, found: Retrieved, costs: CostOf | None, mask: Mask
) -> UsageRecord:
    report = found.report
    update: dict[str, object] = {
        "response_model": mask.value(report.model) or record.response_model,
        "service_tier": mask.value(report.service_tier) or record.service_tier,
        "recovered": True,
    }
    if report.wire_usage is not None:
        update["wire_usage"] = mask.value(report.wire_usage)
    usage = record.usage
    odd = usage.odd
    if report.counts:
        usage = Usage.model_validate({**report.counts, "source": UsageSource.REPORTED})
    if report.anomaly is not None:
        odd = (*(odd or ()), mask.text(report.anomaly))
    update["usage"] = usage = usage.model_copy(update={"odd": odd})
    update["anomalies"] = usage.anomalies()
    recovered = record.model_copy(update=update)
    return Parts(recovered.failed_parts).priced(recovered, costs) if report.counts else recovered
