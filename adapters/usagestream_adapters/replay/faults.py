"""What can be made to go wrong with a good recording. Each is for `Replay(..., faults=[...])`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from ._playback import Playback, Step

__all__ = [
    "Fault",
    "async_filter",
    "cut",
    "drop_usage",
    "refuse_stream_options",
    "reset",
    "stall",
]

_DATA: Final = re.compile(rb"^data: ?(\{.*\})[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong with every answer that is a stream; other answers stay whole."""

    name: str
    change: Callable[[Playback], Playback]
    """Gives the answer with the fault. Raises `ValueError` where the answer is too short for it."""
    refuse: Callable[[Any], Playback | None] | None = None
    """Gives what a request is refused with by its JSON body; `None` where it is not."""
    hidden: frozenset[str] = frozenset()
    """Fields of the request that do not count in finding its recording."""

    def __repr__(self) -> str:
        return self.name


def cut(after: int) -> Fault:
    """End the body after so many frames, in good order: without usage and without `[DONE]`."""

    def change(playback: Playback) -> Playback:
        return replace(playback, steps=_first(playback, after), end_after=0.0, error=None)

    return _placed("cut", after, change)


def reset(after: int = 1) -> Fault:
    """Reset the connection after so many frames, as a network or a proxy does."""

    def change(playback: Playback) -> Playback:
        return replace(
            playback,
            steps=_first(playback, after),
            end_after=0.0,
            error="ReadError",
            reason="Connection reset by peer",
        )

    return _placed("reset", after, change)


def stall(seconds: float = math.inf, after: int = 1) -> Fault:
    """Send nothing for so many seconds after so many frames, and then go on.

    The client's own time-out ends it, if that is shorter. `math.inf` never goes on.
    """
    if not seconds > 0:
        raise ValueError(f"stall() needs a positive number of seconds, not {seconds!r}")

    def change(playback: Playback) -> Playback:
        first = _first(playback, after)
        stalled = playback.steps[after]._replace(pause=seconds)
        return replace(playback, steps=(*first, stalled, *playback.steps[after + 1 :]))

    fault = _placed("stall", after, change)
    return replace(fault, name=f"stall({seconds:g}, after={after})")


def drop_usage() -> Fault:
    """Leave out every count, as a provider does that was asked for usage and says nothing."""
    return Fault("drop_usage()", _without_usage)


def refuse_stream_options() -> Fault:
    """Refuse requests that have `stream_options`, in Azure's words, and answer the others.

    Those get the answer without usage, since they did not ask for it.
    """
    return Fault(
        "refuse_stream_options()",
        _without_usage,
        refuse=_refusal,
        hidden=frozenset({"stream_options"}),
    )


def async_filter() -> Fault:
    """Add the frames of Azure's asynchronous filter, which have a choice without a `delta`.

    One comes in the middle and one after the finish reason, the order documented (WIRE §2.5).
    """
    return Fault("async_filter()", _annotated)


def _placed(name: str, after: int, change: Callable[[Playback], Playback]) -> Fault:
    if after < 0:
        raise ValueError(f"{name}() counts frames from 0, not from {after}")
    return Fault(f"{name}(after={after})", lambda playback: change(playback.by_frame()))


def _first(playback: Playback, after: int) -> tuple[Step, ...]:
    if after >= len(playback.steps):
        raise ValueError(f"the answer has {len(playback.steps)} frames only")
    return playback.steps[:after]


def _refusal(body: Any) -> Playback | None:
    if not isinstance(body, dict) or "stream_options" not in body:
        return None
    from ..emulator.errors import REFUSALS

    reply = REFUSALS["unrecognized_argument"]
    return Playback(
        status=reply.status,
        headers=(("content-type", "application/json"),),
        steps=(Step(0.0, json.dumps(reply.body).encode()),),
    )


def _without_usage(playback: Playback) -> Playback:
    steps = [kept for step in playback.by_frame().steps for kept in _without_counts(step)]
    return replace(playback, steps=tuple(steps))


def _without_counts(step: Step) -> Iterable[Step]:
    """The frame as it is without counts; nothing where it is only there for them."""
    match = _DATA.search(step.data)
    if match is None:
        return [step]
    frame: dict[str, Any] = json.loads(match[1])
    holder = frame["response"] if isinstance(frame.get("response"), dict) else frame
    if not isinstance(holder.get("usage"), dict):
        return [step]
    if frame.get("choices") == []:
        return []
    holder["usage"] = None
    text = json.dumps(frame, ensure_ascii=False, separators=(",", ":")).encode()
    return [step._replace(data=step.data[: match.start(1)] + text + step.data[match.end(1) :])]


def _annotated(playback: Playback) -> Playback:
    from ..emulator.frames import annotation

    frames = playback.by_frame().steps
    finishes = [number for number, step in enumerate(frames) if _finishes(step.data)]
    if not finishes:
        raise ValueError("the answer has no finish reason")
    steps: list[Step] = []
    for number, step in enumerate(frames):
        steps.append(step)
        if number == finishes[0] // 2:
            steps.append(Step(0.0, annotation(0, check_offset=0)))
        if number == finishes[-1]:
            steps.append(Step(0.0, annotation(0, check_offset=100)))
    return replace(playback, steps=tuple(steps))


def _finishes(frame: bytes) -> bool:
    match = _DATA.search(frame)
    choices = json.loads(match[1]).get("choices") if match else None
    return any(choice.get("finish_reason") for choice in choices or ())
