"""Waiting that outlives the task that waits: on asyncio, where a task can be left to itself."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import asyncio

__all__ = ["Outliving", "is_asyncio_cancellation", "outliving"]

ResultT = TypeVar("ResultT")


class Outliving:
    """Takes one step after the other, each in a task of its own.

    A read that is cancelled takes its connection with it. One that is waited for here goes on when
    the waiting task is cancelled, and whoever waits next has what it came to: no byte is lost.
    """

    def __init__(self) -> None:
        self._step: asyncio.Task[Any] | None = None

    async def wait(self, step: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """Give what the step under way comes to; without one, begin this."""
        import asyncio

        while True:
            if self._step is None:
                self._step = asyncio.create_task(_taken(step))
            under_way = self._step
            await asyncio.wait([under_way])
            if self._step is under_way:  # nobody else had its result meanwhile
                self._step = None
                result: ResultT = under_way.result()
                return result

    async def stop(self) -> None:
        """Let the step under way go no further."""
        step, self._step = self._step, None
        if step is not None:
            import asyncio

            step.cancel()
            step.add_done_callback(_forget)
            await asyncio.wait([step])


async def _taken(step: Callable[[], Awaitable[ResultT]]) -> ResultT:
    return await step()


def _forget(step: asyncio.Task[Any]) -> None:
    """Ask what it came to, so that nobody is told that nobody did."""
    if not step.cancelled():
        step.exception()


def outliving() -> Outliving | None:
    """Give one; `None` where there is no asyncio loop (on trio)."""
    asyncio = sys.modules.get("asyncio")
    try:
        return Outliving() if asyncio is not None and asyncio.get_running_loop() else None
    except RuntimeError:
        return None


def is_asyncio_cancellation(exc: BaseException | None) -> bool:
    """Whether this says that a task was cancelled, and not that the program ends."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and isinstance(exc, asyncio.CancelledError)
