"""Reading cassettes: vcrpy's, ours with what is kept beside the body, and other tools' of its kind.

The key `timing` of an interaction is ours; vcrpy passes over it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from usagestream_core.errors import ConfigError

from ..cassettes.document import Interaction, read_cassette
from ..cassettes.limits import CassetteError
from ._playback import Playback, Step

__all__ = ["COMPLETE", "LEFT", "Exchange", "load"]

COMPLETE: Final = "complete"
LEFT: Final = "left"
_SUFFIXES: Final = (".yaml", ".yml", ".json")
_WORD: Final = b"interactions"
_PIECE: Final = 1 << 20
_FRAMING: Final = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What is kept beside a body. Seconds count from when the request was sent."""

    head: float
    reads: tuple[tuple[float, int], ...]
    """Seconds, bytes."""
    end: float
    ended: str
    """`complete`; `left`, by whoever read it; or the HTTP client's exception."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One recorded request and its answer."""

    cassette: str
    number: int
    request: Any
    """vcrpy's."""
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    timing: Timing | None

    def playback(self, *, paced: bool) -> Playback:
        """Plan the answer: at the recorded pace where that was kept, or at once."""
        playback = Playback(
            status=self.status,
            headers=self.headers,
            steps=(Step(0.0, self.body),) if self.body else (),
        )
        if self.timing is None:
            return playback.by_frame() if playback.is_stream else playback
        timing = self.timing
        steps: list[Step] = []
        start, at = 0, timing.head
        for when, size in timing.reads:
            steps.append(Step(max(0.0, when - at) if paced else 0.0, self.body[start:][:size]))
            start, at = start + size, when
        error, reason = _ending(timing.ended)
        return Playback(
            status=self.status,
            headers=self.headers,
            steps=tuple(steps),
            head_after=timing.head if paced else 0.0,
            end_after=max(0.0, timing.end - at) if paced else 0.0,
            error=error,
            reason=reason,
        )


def _ending(ended: str) -> tuple[str | None, str]:
    if ended == COMPLETE:
        return None, ""
    if ended == LEFT:
        return "ReadError", "whoever recorded this left the stream here: nothing more is known"
    return ended, f"recorded as {ended}"


def load(path: Path) -> list[Exchange]:
    """Read a cassette, or every cassette in a folder and below it, in the order of the paths.

    Raises `ConfigError` where there is none, and its `CassetteError` for a file that is none or too
    large.
    """
    if path.is_file():
        return list(_exchanges(path, path.name))
    if not path.is_dir():
        raise ConfigError(f"There are no cassettes at {path}: it is no file and no folder.")
    files = sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES)
    exchanges = [
        each
        for file in files
        if file.is_file() and _has_interactions(file)
        for each in _exchanges(file, str(file.relative_to(path)))
    ]
    if not exchanges:
        raise ConfigError(f"There are no cassettes in {path}: it has no file with a recording.")
    return exchanges


def _exchanges(file: Path, name: str) -> Iterator[Exchange]:
    _, interactions = read_cassette(file)
    for number, each in enumerate(interactions, 1):
        yield Exchange(
            cassette=name,
            number=number,
            request=each.request,
            status=each.status,
            headers=tuple(pair for pair in each.headers if pair[0] not in _FRAMING),
            body=each.body,
            timing=_timing(each, file),
        )


def _timing(each: Interaction, file: Path) -> Timing | None:
    """What was kept beside the body, unless the body was changed since."""
    kept = each.timing
    if kept is None:
        return None
    try:
        timing = Timing(
            head=float(kept["head"]),
            reads=tuple((float(when), int(length)) for when, length in kept["reads"]),
            end=float(kept["end"]),
            ended=str(kept["ended"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as exc:
        raise CassetteError(f"{file} has a timing that is none: {kept!r:.200}") from exc
    sizes = [length for _, length in timing.reads]
    return timing if min(sizes, default=0) >= 0 and sum(sizes) == len(each.body) else None


def _has_interactions(file: Path) -> bool:
    """Whether this may be a cassette: looked for in pieces, since it may be anything."""
    with file.open("rb") as opened:
        before = b""
        while piece := opened.read(_PIECE):
            if _WORD in before + piece:
                return True
            before = piece[-len(_WORD) :]
    return False
