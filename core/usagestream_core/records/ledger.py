"""The ledger: where a stream is written before it begins, and when it has ended."""

from __future__ import annotations

import logging
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, runtime_checkable

from pydantic import Field

from .._described import Described
from ..cost import Scope
from ..record import Api

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..record import UsageRecord

__all__ = ["Begun", "Ledger", "LedgerChoice", "Writing", "apause", "asettled", "settled"]

logger = logging.getLogger("usagestream")

PAUSE: Final = 0.001
"""Seconds between two looks, for code that must not block."""


class Begun(Described, frozen=True):
    """A stream whose request is about to be sent: what its record will say, as far as it is known.

    Fields are those of `UsageRecord`. Holds no key, no token and no text of the conversation.
    """

    id: str
    """That of the record to come."""
    version: int = 1
    api: Api = "chat"
    streamed: bool | None = None
    provider: str
    profile: str | None = None
    endpoint: str | None = None
    model: str
    deployment: str | None = None
    scope: Scope | None = None
    provisioned: bool = False
    service_tier_asked: str | None = None
    started_at: datetime
    tags: dict[str, str] = Field(default_factory=dict[str, str])


class Writing(Protocol):
    """Something that a ledger was given, on its way to where it is kept."""

    def wait(self, seconds: float) -> bool:
        """Wait for so long at most, 0 for not at all; give whether there is no more to wait for.

        True once it is kept, wherever that is, and also where it cannot be: a ledger bounds this
        wait by itself, since the first chunk of a stream waits for it.
        """
        ...


@runtime_checkable
class Ledger(Protocol):
    """Keeps every stream: `Client(ledger=...)`.

    All methods are called where streams begin and end, from any thread and in any context, so that
    none of them may wait for a database. What they raise is logged, and never reaches a stream.
    """

    def begin(self, begun: Begun) -> Writing | None:
        """A request is about to be sent. `None` where there is nothing to wait for."""
        ...

    def end(self, record: UsageRecord) -> None:
        """A stream has ended. Called once for each; one under the same id changes nothing."""
        ...

    def replace(self, record: UsageRecord) -> None:
        """More is known of a stream that has ended: what it used, or what that cost."""
        ...

    def flush(self, seconds: float) -> bool:
        """Wait for so long at most, 0 for not at all; give whether all that was given is kept."""
        ...


LedgerChoice: TypeAlias = Ledger | str | Literal["auto"] | None
"""A ledger, the URL of one, the one that is configured, or none."""


def settled(writing: Writing) -> None:
    """Wait until a writing is kept, or its ledger gives up."""
    try:
        while not writing.wait(1.0):
            pass
    except Exception:
        logger.exception("The ledger raised; a stream goes on without it")


async def asettled(writing: Writing) -> None:
    """`settled` for async code."""
    try:
        while not writing.wait(0):
            await apause(PAUSE)
    except Exception:
        logger.exception("The ledger raised; a stream goes on without it")


async def apause(seconds: float) -> None:
    """Let others run for so long, on asyncio or on trio."""
    import asyncio  # slow to import, and loaded already where it is of use

    trio: Any = sys.modules.get("trio")
    if _is_in(asyncio.get_running_loop):
        await asyncio.sleep(seconds)
    elif trio is not None and _is_in(trio.lowlevel.current_task):
        await trio.sleep(seconds)
    else:
        time.sleep(seconds)  # noqa: ASYNC251 - nobody knows who drives this


def _is_in(current: Callable[[], object]) -> bool:
    """Whether we run in what this gives; it raises where we do not."""
    try:
        current()
    except RuntimeError:
        return False
    return True
